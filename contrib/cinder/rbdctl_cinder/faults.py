"""The sidecar's problems as Cinder's exceptions.

Cinder's manager treats two exceptions apart: after VolumeIsBusy and
SnapshotIsBusy the thing is as it was. All else is VolumeBackendAPIException.
"""

import contextlib

from cinder import exception
from rbdctl_cinder import errors


@contextlib.contextmanager
def translated(doing, **special):
    """Turns a ProblemError into the exception that Cinder knows.

    ``doing`` says what was tried, such as 'delete volume X'. ``special`` maps
    a kind to a function that makes an exception of the message.
    """
    try:
        yield
    except errors.ProblemError as e:
        make = special.get(e.kind, backend_error)
        raise make('%s: %s (%s)' % (doing, e, e.kind)) from e


def backend_error(message):
    return exception.VolumeBackendAPIException(data=message)


def bad_reference(existing_ref):
    """What makes the exception for something that cannot be managed."""
    def make(message):
        return exception.ManageExistingInvalidReference(
            existing_ref=existing_ref, reason=message)
    return make


def volume_is_busy(volume):
    def make(message):
        return exception.VolumeIsBusy(message, volume_name=volume.name)
    return make


def snapshot_is_busy(snapshot):
    def make(message):
        return exception.SnapshotIsBusy(message, snapshot_name=snapshot.name)
    return make


def unacceptable(image_id):
    """What makes the exception for an image that cannot be a volume."""
    def make(message):
        return exception.ImageUnacceptable(image_id=image_id, reason=message)
    return make
