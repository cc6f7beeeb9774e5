"""Image data on its way: chunks of files, sparse files, zeroes.

Chunks are bytes of at most client.CHUNK. A disk is whole sectors, so content
that ends within one is filled up with zeroes.
"""

import os

from rbdctl_cinder import client
from rbdctl_cinder import errors

SECTOR = 512
_ZEROES = bytes(client.CHUNK)


def whole_sectors(length):
    return -(-length // SECTOR) * SECTOR


def data_end(path):
    """Where the last data of a sparse file ends, as far as it can tell."""
    with open(path, 'rb') as f:
        size = os.fstat(f.fileno()).st_size
        end = 0
        while end < size:
            try:
                data = os.lseek(f.fileno(), end, os.SEEK_DATA)
            except OSError:  # ENXIO: a hole to the end
                break
            end = os.lseek(f.fileno(), data, os.SEEK_HOLE)
        return end


def of_file(path, length):
    """The first ``length`` bytes of a file, in chunks."""
    with open(path, 'rb') as f:
        while length > 0:
            chunk = f.read(min(length, client.CHUNK))
            if not chunk:
                return
            length -= len(chunk)
            yield chunk


def whole(chunks, size, source):
    """``chunks``, which have to be ``size`` bytes in all.

    Raises a ProblemError that names ``source`` in place of the last of those
    that are fewer or more: whoever takes them never has them all.
    """
    held, have = b'', 0
    for chunk in chunks:
        have += len(chunk)
        if have > size:
            check_size(have, size, source)
        if held:
            yield held
        held = chunk
    check_size(have, size, source)
    if held:
        yield held


def check_size(have, size, source):
    """Refuses ``have`` bytes of what has ``size``. Raises a ProblemError."""
    if have < size:
        raise errors.ProblemError('failed', '%s ended after %d of %d bytes: '
                                  'try again' % (source, have, size))
    if have > size:
        raise errors.ProblemError(
            'failed', '%s went on after %d bytes, the size of the image: try '
            'again, or upload the image anew' % (source, size))


def filled_up(chunks, length):
    """``chunks``, and zeroes after them until there are ``length`` bytes.

    It is for whole content only: of any other it would hide the loss.
    """
    for chunk in chunks:
        length -= len(chunk)
        yield chunk
    while length > 0:
        n = min(length, len(_ZEROES))
        length -= n
        yield _ZEROES[:n]


def save(chunks, path):
    """Writes chunks to a file; zeroes become holes."""
    with open(path, 'wb') as f:
        for chunk in chunks:
            if chunk == _ZEROES[:len(chunk)]:
                f.seek(len(chunk), os.SEEK_CUR)
            else:
                f.write(chunk)
        f.truncate()


def split(chunks, size):
    """The first ``size`` bytes or so, and an iterator over all chunks."""
    chunks = iter(chunks)
    head = []
    have = 0
    for chunk in chunks:
        head.append(chunk)
        have += len(chunk)
        if have >= size:
            break
    return b''.join(head), _chain(head, chunks)


def _chain(head, rest):
    yield from head
    del head[:]
    yield from rest
