"""Image data between Glance and volumes.

A RAW image that Glance has in the same cluster is cloned, and a qcow2 one is
converted there, by a job of the sidecar's. Any other RAW image is streamed
into the volume, without a file on this host. What else is not RAW has to be
converted, and what is to be encrypted has to be encrypted, by qemu-img in a
file in Cinder's image_conversion_dir, as with every driver.
"""

import contextlib
import os
import tempfile
import urllib.parse

from oslo_config import cfg
from oslo_log import log as logging

from cinder.image import image_utils
from cinder.volume import volume_utils
from rbdctl_cinder import content
from rbdctl_cinder import errors
from rbdctl_cinder import faults
from rbdctl_cinder import inspection
from rbdctl_cinder import jobs
from rbdctl_cinder import luks
from rbdctl_cinder import requests

LOG = logging.getLogger(__name__)

# The snapshot that Glance makes of each image.
# See: glance_store/_drivers/rbd.py, DEFAULT_SNAPNAME.
GLANCE_SNAPSHOT = 'snap'

# What keeps an image from being cloned, so that it is copied instead.
_NOT_CLONEABLE = (errors.NOT_FOUND, errors.INVALID, errors.DENIED,
                  errors.UNSUPPORTED)


class ImageData:
    """The part of the driver that moves image data."""

    def clone_image(self, context, volume, image_location, image_meta,
                    image_service):
        """Makes the volume of the Glance image within the cluster, if it can.

        Returns the model update and True, or ({}, False) for an image that
        Cinder has to download.
        """
        if image_meta.get('disk_format') == 'raw':
            make = self._clone_from
        elif self._importable(volume, image_meta):
            make = self._import_from
        else:
            return {}, False
        with faults.translated('clone image %s to volume %s' %
                               (image_meta.get('id'), volume.id)):
            for url in _locations(image_location):
                update = make(url, volume)
                if update is not None:
                    return {'provider_location': None, **update}, True
        return {}, False

    def _clone_from(self, url, volume):
        """Clones the image at a location; None if that cannot be."""
        image = self._cloneable(url)
        if not image:
            return None
        try:
            return self._create(volume, {'kind': 'image', 'id': image})
        except errors.ProblemError as e:
            if e.kind not in _NOT_CLONEABLE:
                raise
            LOG.info('Image %(image)s is copied, not cloned: %(why)s',
                     {'image': image, 'why': e})
            return None

    def _importable(self, volume, image_meta):
        """Whether the sidecar may convert the image.

        Not what Cinder does more with: what it encrypts, what it verifies the
        signature of, and what it keeps to clone it the next time.
        See: cinder/volume/flows/manager/create_volume.py,
        _create_from_image_cache_or_download.
        """
        if getattr(cfg.CONF, 'image_conversion_disable', False):
            return False  # Cinder has a word of its own for that
        signed = any(key.startswith('img_signature')
                     for key in image_meta.get('properties') or ())
        return (image_meta.get('disk_format') == 'qcow2' and
                image_meta.get('container_format') != 'compressed' and
                not volume.encryption_key_id and not signed and
                not self.configuration.safe_get('image_volume_cache_enabled'))

    def _import_from(self, url, volume):
        """Has the image at a location converted; None if that cannot be."""
        image = self._cloneable(url)
        if not image:
            return None
        try:
            job = jobs.done(self._client, self._path(volume) + '/import', {
                'image_id': image, 'format': 'qcow2',
                'size_bytes': requests.size_bytes(volume),
                'object_size_bytes': requests.object_size(
                    self.configuration)})
        except errors.ProblemError as e:
            if e.kind not in _NOT_CLONEABLE:
                raise
            LOG.info('Image %(image)s is converted here, not by the sidecar: '
                     '%(why)s', {'image': image, 'why': e})
            return None
        if job['state'] == 'failed':
            LOG.warning('Image %(image)s is converted here: job %(job)s of '
                        'the sidecar failed: %(why)s', {
                            'image': image, 'job': job['id'],
                            'why': job.get('error')})
            return None
        if job['state'] != 'done':
            raise faults.backend_error('import image %s to volume %s: job %s '
                                       'was cancelled' %
                                       (image, volume.id, job['id']))
        # It is there: what its type asks for is still to be set.
        return self._create(volume, {'kind': 'image', 'id': image})

    def _cloneable(self, url):
        """The name of the image at a location, None if it is out of reach."""
        parts = parse_location(url)
        if not parts or parts[3] != GLANCE_SNAPSHOT:
            return None
        fsid, pool, image, _snapshot = parts
        if fsid != self._fsid():
            LOG.debug('%s is in another cluster.', url)
            return None
        image_pool = self._server.get('image_pool')
        if image_pool and pool != image_pool:
            LOG.debug('%s is not in the pool of images.', url)
            return None
        return image

    def copy_image_to_volume(self, context, volume, image_service, image_id,
                             disable_sparse=False):
        """Makes the image the content of the volume."""
        self._copy_image(context, volume, image_service, image_id)

    def copy_image_to_encrypted_volume(self, context, volume, image_service,
                                       image_id, disable_sparse=False):
        """Makes the image, encrypted, the content of the volume."""
        self._copy_image(context, volume, image_service, image_id,
                         encrypt=True)

    def _copy_image(self, context, volume, image_service, image_id,
                    encrypt=False):
        meta = image_service.show(context, image_id)
        with faults.translated('copy image %s to volume %s' %
                               (image_id, volume.id),
                               invalid=faults.unacceptable(image_id)):
            if encrypt or not _is_raw(meta):
                self._convert_image(context, volume, image_service, meta,
                                    encrypt)
                return
            # Cinder has mostly downloaded it already, to look into it.
            fetched = image_utils.TemporaryImages.for_image_service(
                image_service).get(context, image_id)
            if fetched:
                inspection.check_raw_file(fetched, volume.size, image_id)
                _check_fetched(fetched, meta)
                self._write_file(volume, fetched)
            elif inspection.AVAILABLE:
                self._stream_image(context, volume, image_service, meta)
            else:
                self._convert_image(context, volume, image_service, meta,
                                    encrypt)

    def _stream_image(self, context, volume, image_service, meta):
        size = int(meta['size'])
        if not volume.encryption_key_id:
            image_utils.check_virtual_size(size, volume.size, meta['id'])
        head, chunks = content.split(
            image_service.download(context, meta['id']), inspection.HEAD)
        inspection.check_raw_head(head, meta['id'])
        self._write(volume, content.whole(chunks, size, 'Glance'), size, size)

    def _convert_image(self, context, volume, image_service, meta, encrypt):
        with _temporary_file() as raw, _temporary_file() as box:
            image_utils.fetch_to_raw(context, image_service, meta['id'], raw,
                                     self.configuration.volume_dd_blocksize,
                                     size=volume.size, run_as_root=False)
            _check_fetched(raw, meta)
            if not encrypt:
                self._write_file(volume, raw)
                return
            luks.encrypt(self._execute, context, volume, raw, box)
            os.truncate(raw, 0)
            self._write_file(volume, box)

    def _create_encrypted(self, volume):
        """Creates a blank volume with a LUKS header."""
        with _temporary_file() as box:
            luks.create(self._execute, volume.obj_context, volume, box)
            update = self._create(volume, {'kind': 'empty'},
                                  os.stat(box).st_size)
            self._write_file(volume, box)
        return update

    def _write_file(self, volume, path):
        size = os.stat(path).st_size
        chunks = content.whole(content.of_file(path, size), size, path)
        self._write(volume, chunks, size, content.data_end(path))

    def _write(self, volume, chunks, size, data_end):
        """Makes chunks, ``size`` bytes or an error, the volume's content.

        Only zeroes follow after ``data_end``. A volume that is being created
        is all zeroes, so they need not be sent; one that was in use before,
        and gets a new image now, is overwritten to its end.
        """
        path = self._path(volume)
        end = content.whole_sectors(data_end) or content.SECTOR
        if volume.encryption_key_id or volume.launched_at:
            have = self._client.call('GET', path)['size_bytes']
            if size > have and volume.encryption_key_id:
                have = content.whole_sectors(size)  # a larger LUKS header
                self._client.call('POST', path + '/extend',
                                  {'size_bytes': have})
            if volume.launched_at:
                end = max(have, end)
        chunks = content.filled_up(_first(chunks, end), end)
        with self._without_limits(volume):
            self._client.upload(path + '/data', chunks, end)

    @contextlib.contextmanager
    def _without_limits(self, volume):
        """Lifts the limits of the volume's type in the block.

        librbd holds everybody to them, also who writes the image's content.
        """
        path, limits = self._path(volume) + '/qos', requests.qos(
            volume.volume_type)
        if not limits:
            yield
            return
        self._client.call('PUT', path, {'qos': {}})
        try:
            yield
        except BaseException:
            try:
                self._client.call('PUT', path, {'qos': limits})
            except errors.ProblemError as e:
                LOG.error('Volume %(id)s is left without its limits: %(why)s',
                          {'id': volume.id, 'why': e})
            raise
        self._client.call('PUT', path, {'qos': limits})

    def copy_volume_to_image(self, context, volume, image_service,
                             image_meta):
        """Makes the content of the volume that of the image."""
        with faults.translated('copy volume %s to image %s' %
                               (volume.id, image_meta['id'])):
            with self._client.download(self._path(volume) + '/data') as data:
                if _is_raw(image_meta):
                    _upload(context, volume, image_service, image_meta, data)
                    return
                with _temporary_file() as raw:
                    content.save(data, raw)
                    volume_utils.upload_volume(
                        context, image_service, image_meta, raw, volume,
                        run_as_root=False)


def parse_location(url):
    """The fsid, pool, image and snapshot of a location; None for others.

    See: cinder/volume/drivers/rbd.py, _parse_location.
    """
    prefix = 'rbd://'
    if not url or not url.startswith(prefix):
        return None
    parts = [urllib.parse.unquote(p) for p in url[len(prefix):].split('/')]
    return parts if len(parts) == 4 and all(parts) else None


def _locations(image_location):
    """The URLs in what Cinder calls a location: a pair of one and a list."""
    if not image_location:
        return []
    direct, locations = image_location
    return [each['url'] for each in locations] if locations else [direct]


def _is_raw(image_meta):
    return (image_meta.get('disk_format') == 'raw' and
            image_meta.get('container_format') != 'compressed')


def _check_fetched(path, meta):
    """Refuses the file of a RAW image that is not as long as the image.

    A tool that copied it has made whole sectors of it.
    """
    if _is_raw(meta) and meta.get('size') is not None:
        size, have = int(meta['size']), os.stat(path).st_size
        if have != content.whole_sectors(size):
            content.check_size(have, size, 'the file that came from Glance')


def _first(chunks, length):
    """The first ``length`` bytes of chunks; all else has to be zeroes."""
    for chunk in chunks:
        if length <= 0:
            return
        yield chunk[:length]
        length -= len(chunk)


def _upload(context, volume, image_service, image_meta, data):
    """Makes ``data``, a Download, that of the image.

    An image that is not all of it would be active: it is deleted.
    """
    volume_type = volume.volume_type
    specs = (volume_type and volume_type.extra_specs) or {}
    made_of = volume.glance_metadata or {}
    length = data.length
    made = image_service.update(
        context, image_meta['id'], {}, data,
        store_id=specs.get('image_service:store_id'),
        base_image_ref=made_of.get('image_id'))
    size = made and made.get('size')
    if None not in (size, length) and size != length:
        image_service.delete(context, image_meta['id'])
        raise errors.ProblemError(
            'failed', 'Glance took %d of %d bytes, and the image was deleted: '
            'try again' % (size, length))


class _temporary_file:
    """A file in image_conversion_dir that goes away with the block."""

    def __enter__(self):
        fd, self._path = tempfile.mkstemp(
            prefix='rbdctl_', dir=volume_utils.image_conversion_dir())
        os.close(fd)
        return self._path

    def __exit__(self, *_exc):
        try:
            os.unlink(self._path)
        except FileNotFoundError:
            pass
