"""Cinder's volume driver for rbdctl.

The driver translates what Cinder's volume manager calls into requests to
``rbdctl serve``, which does the work, and its answers into what Cinder
expects. It holds no state and calls no Ceph library. In cinder.conf::

    [ceph]
    volume_driver = rbdctl_cinder.driver.RBDSidecarDriver

Modules: ``client`` speaks HTTP over the sidecar's UNIX socket, ``errors`` has
what it raises; both need nothing but the standard library. ``driver`` is the
class that Cinder loads, put together from ``images`` (image data), ``manage``
(adoption of images that are there) and ``requests`` (what a volume is to be),
with ``options``, ``luks`` and ``faults`` below them.

Names on the wire are those of Cinder's own RBD driver, byte for byte, so
either driver can take over a pool from the other.
"""

__version__ = '1.0.0'
