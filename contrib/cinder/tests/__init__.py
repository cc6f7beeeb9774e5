"""Tests of the driver: `python3 -m unittest` in contrib/cinder.

They need Cinder's own packages (python3-cinder) and qemu-img, and no cluster:
requests go to a server on a UNIX socket that keeps volumes in memory
(stub.py).
"""
