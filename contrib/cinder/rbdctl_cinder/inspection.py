"""Looks at what claims to be a RAW image.

A guest can write the header of another format to its RAW disk, and a file of
another format can be uploaded as RAW. Cinder refuses images that are not what
they claim to be, with an inspector of its own that never runs a tool on them.
"""

import os

from cinder import exception
from cinder.image import image_utils

try:
    from oslo_utils.imageutils import format_inspector
except ImportError:
    try:
        from cinder.image import format_inspector
    except ImportError:
        format_inspector = None

# Without it an image is converted, which looks at it too.
AVAILABLE = format_inspector is not None

HEAD = 1 << 20  # bytes of an image that tell its format

# What a RAW disk may hold: nothing known, or partitions, a container, a CD.
_RAW = frozenset(('raw', 'gpt', 'mbr', 'luks', 'iso'))


def check_raw_file(path, size, image_id):
    """Refuses a file that is no RAW image of up to ``size`` GiB.

    Raises ImageUnacceptable.
    """
    data = image_utils.qemu_img_info(path, run_as_root=False)
    image_utils.check_virtual_size(data.virtual_size, size, image_id)
    if data.file_format != 'raw' or data.backing_file:
        raise _not_raw(image_id, data.file_format)


def check_raw_head(head, image_id):
    """Refuses an image whose beginning is that of another format.

    Raises ImageUnacceptable.
    """
    # The inspectors read files by name: this one has no place on a disk.
    fd = os.memfd_create('rbdctl-head')
    try:
        os.write(fd, head)
        found = str(format_inspector.detect_file_format(
            '/proc/self/fd/%d' % fd))
    except format_inspector.ImageFormatError as e:
        raise _not_raw(image_id, e)
    finally:
        os.close(fd)
    if found not in _RAW:
        raise _not_raw(image_id, found)


def _not_raw(image_id, what):
    return exception.ImageUnacceptable(
        image_id=image_id, reason='The image format was claimed to be \'raw\' '
        'but the image data appears to be in a different format: %s' % what)
