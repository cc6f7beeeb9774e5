"""Image data between Glance and volumes, with the real qemu-img."""

import http.server
import os
import subprocess
import threading
import unittest
from unittest import mock
import uuid

from castellan.common.objects import symmetric_key
import glanceclient
from oslo_utils import timeutils

from cinder import exception
from cinder.image import glance
from cinder.volume import volume_utils
from rbdctl_cinder import errors
from rbdctl_cinder import images
from rbdctl_cinder import inspection
from rbdctl_cinder import jobs
from rbdctl_cinder import luks
from tests import base
from tests import stub

GIB = stub.GIB
IMAGE = '6f1b54a5-0b3a-4c53-9f0e-5d7c1c1f6a01'
URL = 'rbd://%s/images/%s/snap' % (stub.FSID, IMAGE)
RAW = {'id': IMAGE, 'disk_format': 'raw', 'container_format': 'bare'}
KEY = bytes(range(32))


class Glance:
    """An image service that has one image."""

    def __init__(self, content, **meta):
        self.meta = dict(RAW, size=len(content), **meta)
        self.content = content
        self.temp_images = None
        self.updated = None

    def show(self, context, image_id):
        return self.meta

    def download(self, context, image_id, data=None):
        chunks = (self.content[i:i + 65536]
                  for i in range(0, len(self.content), 65536))
        if data is None:
            return chunks
        for chunk in chunks:
            data.write(chunk)

    def update(self, context, image_id, meta, data, **known):
        self.updated = known
        self.content = b''.join(iter(lambda: data.read(65536), b''))
        return {'size': len(self.content)}

    def delete(self, context, image_id):
        self.content = None


class GlanceServer(http.server.BaseHTTPRequestHandler):
    """Glance itself, as far as an upload goes: it breaks off the first."""

    bodies = None
    timeout = 10

    def do_PUT(self):
        self.bodies.append(b'')
        if len(self.bodies) > 1:
            while size := int(self.rfile.readline() or b'0', 16):
                self.bodies[-1] += self.rfile.read(size + 2)[:-2]
            self.send_response(204)
            self.end_headers()
        self.close_connection = True

    def log_message(self, *_args):
        pass


def noise(size):
    return os.urandom(size)


class ImageTestCase(base.DriverTestCase):

    def stored(self, volume, size):
        return self.made(volume).content()[:size]

    def file(self, content=b'', size=None):
        path = os.path.join(self.dir.name, str(uuid.uuid4()))
        with open(path, 'wb') as f:
            f.write(content)
            f.truncate(size)
        return path

    def qcow2(self, content):
        raw, path = self.file(content), self.file()
        subprocess.run(['qemu-img', 'convert', '-f', 'raw', '-O', 'qcow2',
                        raw, path], check=True)
        with open(path, 'rb') as f:
            made = f.read()
        os.unlink(raw)
        os.unlink(path)
        return made


class CloneTest(ImageTestCase):

    def clone(self, location, **meta):
        volume = self.volume(size=2)
        return volume, self.driver.clone_image(
            self.context, volume, location, dict(RAW, **meta), None)

    def setUp(self):
        super().setUp()
        self.sidecar.glance[IMAGE] = GIB

    def test_clone(self):
        for location in ((URL, None), ('file:///x', [
                {'url': 'file:///x'}, {'url': URL}])):
            with self.subTest(location):
                volume, answer = self.clone(location)
                self.assertEqual(({'provider_location': None}, True), answer)
                self.assertEqual(
                    {'size_bytes': 2 * GIB,
                     'source': {'kind': 'image', 'id': IMAGE}},
                    self.made(volume).known)

    def test_what_cannot_be_cloned(self):
        other = str(uuid.uuid4())
        for location, meta in (
                (None, {}), ((None, None), {}),
                ((URL, None), {'disk_format': 'qcow2'}),
                (('file:///' + IMAGE, None), {}),
                (('rbd://' + IMAGE, None), {}),
                ((URL + '/more', None), {}),
                ((URL.replace('images', ''), None), {}),
                ((URL.replace('images', 'pictures'), None), {}),
                ((URL.replace(stub.FSID, other), None), {}),
                ((URL.replace('snap', 'other'), None), {}),
                ((URL.replace(IMAGE, other), None), {})):
            with self.subTest(location=location, meta=meta):
                self.assertEqual(({}, False), self.clone(location, **meta)[1])
        self.assertEqual({}, self.sidecar.volumes)

    def test_an_image_that_is_too_large(self):
        self.sidecar.glance[IMAGE] = 3 * GIB
        self.assertEqual(({}, False), self.clone((URL, None))[1])

    def test_a_sidecar_that_is_not_there(self):
        for _ in range(2):  # when it asks for the fsid; when it clones
            self.sidecar.faults = [stub.Problem('unavailable')]
            with self.assertRaises(exception.VolumeBackendAPIException):
                self.clone((URL, None))
            self.driver.get_volume_stats(refresh=True)

    def test_locations(self):
        self.assertEqual(['f', 'a/b', 'c d', 'snap'], images.parse_location(
            'rbd://f/a%2Fb/c%20d/snap'))


class ImportTest(ImageTestCase):

    def setUp(self):
        super().setUp()
        self.patch(jobs, 'PAUSE', 0.001)
        self.patch(jobs, 'LONGEST_PAUSE', 0.001)
        self.sidecar.disks[IMAGE] = GIB

    def make(self, volume=None, location=(URL, None), **meta):
        return self.driver.clone_image(
            self.context, volume or self.volume(size=2), location,
            {**RAW, 'disk_format': 'qcow2', **meta}, None)

    def asked(self):
        return [p for m, p in self.sidecar.made('POST')
                if p.endswith('/import')]

    def test_import(self):
        volume = self.volume(self.volume_type({'read_iops_sec': '5'}), size=2)
        self.assertEqual(({'provider_location': None}, True),
                         self.make(volume))
        self.assertEqual(
            [{'image_id': IMAGE, 'format': 'qcow2', 'size_bytes': 2 * GIB,
              'object_size_bytes': 4 << 20}],
            self.sidecar.bodies('/v1/volumes/%s/import' % volume.id))
        self.assertEqual(
            {'size_bytes': 2 * GIB, 'source': {'kind': 'image', 'id': IMAGE},
             'qos': {'read_iops_sec': '5'}}, self.made(volume).known)
        self.assertEqual(({'provider_location': None}, True),
                         self.make(volume))  # it is there

    def test_multiattach(self):
        volume = self.volume(self.volume_type(multiattach='<is> True'))
        update, cloned = self.make(volume)
        self.assertEqual(('{"saved_features":61}', True, 33),
                         (update['provider_location'], cloned,
                          self.made(volume).features))

    def test_what_is_left_to_cinder(self):
        other = str(uuid.uuid4())
        for location, meta in (
                ((None, None), {}),
                ((URL, None), {'disk_format': 'vmdk'}),
                ((URL, None), {'container_format': 'compressed'}),
                ((URL, None), {'properties': {'img_signature': 'x'}}),
                (('file:///' + IMAGE, None), {}),
                ((URL.replace('images', 'pictures'), None), {}),
                ((URL.replace(stub.FSID, other), None), {}),
                ((URL.replace('snap', 'other'), None), {})):
            with self.subTest(location=location, meta=meta):
                self.assertEqual(({}, False), self.make(
                    location=location, **meta))
        self.assertEqual(({}, False), self.make(
            self.volume(size=2, encryption_key_id=str(uuid.uuid4()))))
        self.driver = self.new_driver(image_volume_cache_enabled=True)
        self.assertEqual(({}, False), self.make())
        self.driver = self.new_driver(image_volume_cache_enabled=False)
        self.set('image_conversion_disable', True, None)
        self.assertEqual(({}, False), self.make())
        with self.assertRaises(exception.ImageConversionNotAllowed):
            self.driver.copy_image_to_volume(
                self.context, self.create(),
                Glance(self.qcow2(b'x' * 512), disk_format='qcow2'), IMAGE)
        self.assertEqual([], self.asked())

    def test_a_refusal_is_left_to_cinder(self):
        self.driver._fsid()
        for kind in ('denied', 'not_found', 'unsupported', 'invalid'):
            with self.subTest(kind):
                self.sidecar.faults = [stub.Problem(kind)]
                self.assertEqual(({}, False), self.make())
        self.sidecar.disks[IMAGE] = 3 * GIB
        self.assertEqual(({}, False), self.make())
        self.assertEqual({}, self.sidecar.volumes)

    def test_a_volume_that_is_there_and_differs(self):
        with self.assertRaisesRegex(exception.VolumeBackendAPIException,
                                    'exists'):
            self.make(self.create())

    def test_how_a_job_ends(self):
        self.sidecar.states = ['running', 'failed']
        self.assertEqual(({}, False), self.make())
        self.sidecar.states = ['running', 'cancelled']
        with self.assertRaisesRegex(exception.VolumeBackendAPIException,
                                    'cancelled'):
            self.make()

    def test_a_sidecar_that_goes_away_meanwhile(self):
        self.driver._client.retry_time = 30
        self.driver._fsid()
        self.sidecar.states = ['running', 'done']
        self.sidecar.faults = [
            stub.Drop(), stub.Problem('unavailable'), None,
            stub.Drop(), stub.Problem('unavailable')]
        self.assertTrue(self.make()[1])
        self.assertEqual(3, len(self.asked()))


class CopyTest(ImageTestCase):

    def copy(self, volume, glance):
        self.driver.copy_image_to_volume(self.context, volume, glance, IMAGE)
        self.assertEqual([], self.left_files())

    def test_a_stream(self):
        content = noise((3 << 20) + 512)
        volume = self.create()
        with mock.patch('tempfile.mkstemp', side_effect=AssertionError):
            self.copy(volume, Glance(content))
        self.assertEqual(content, bytes(self.made(volume).data))

    def test_what_is_no_whole_sector(self):
        volume = self.create()
        self.copy(volume, Glance(b'a' * 700))
        self.assertEqual(b'a' * 700 + bytes(324), bytes(
            self.made(volume).data))

    def test_a_file_that_cinder_has(self):
        path = self.file(noise(1 << 20), size=GIB)
        glance = Glance(b'not asked')
        glance.meta['size'] = GIB
        glance.temp_images = mock.Mock()
        glance.temp_images.get.return_value = path
        volume = self.create()
        self.driver.copy_image_to_volume(self.context, volume, glance, IMAGE)
        with open(path, 'rb') as f:
            self.assertEqual(f.read(1 << 20), bytes(self.made(volume).data))

    def test_an_empty_image(self):
        volume = self.create()
        self.copy(volume, Glance(bytes(4096)))
        self.assertEqual(GIB, self.made(volume).size)

    def test_an_image_that_is_too_large(self):
        glance = Glance(b'x')
        glance.meta['size'] = GIB + 1
        with self.assertRaises(exception.ImageUnacceptable):
            self.copy(self.create(), glance)

    def test_another_format(self):
        content = noise(1 << 20)
        volume = self.create()
        self.copy(volume, Glance(self.qcow2(content), disk_format='qcow2'))
        self.assertEqual(content, self.stored(volume, 1 << 20))

    def test_another_format_that_claims_to_be_raw(self):
        hidden = self.qcow2(noise(1 << 20))
        glance = Glance(hidden)
        volume = self.create()
        with self.assertRaises(exception.ImageUnacceptable):
            self.copy(volume, glance)
        path = self.file(hidden)
        with self.assertRaises(exception.ImageUnacceptable):
            inspection.check_raw_file(path, 1, IMAGE)
        self.assertEqual(b'', bytes(self.made(volume).data))

    def test_what_a_raw_disk_may_begin_with(self):
        for head in (b'', b'x', b'LUKS\xba\xbe\0\1' + bytes(4096),
                     bytes(510) + b'\x55\xaa', noise(1 << 20)):
            with self.subTest(head[:8]):
                inspection.check_raw_head(head, IMAGE)

    def test_a_download_that_fails(self):
        glance = Glance(noise(1 << 20))
        good = glance.download(None, None)

        def bad(*_):
            yield next(good)
            raise OSError(32, 'checksum')
        glance.download = bad
        volume = self.create()
        with self.assertRaisesRegex(OSError, 'checksum'):
            self.copy(volume, glance)
        self.assertEqual(b'', bytes(self.made(volume).data))

    def test_glance_gives_less_or_more_than_the_image_has(self):
        for have, size, says in (
                (1 << 20, 3 << 20, 'after 1048576 of 3145728 bytes'),
                (3 << 20, (3 << 20) + 100, 'of 3145828 bytes'),
                (0, 4096, 'after 0 of 4096 bytes'),
                ((3 << 20) + 512, 3 << 20, 'went on after 3145728 bytes'),
                (1024, 700, 'went on after 700 bytes')):
            for launched_at in (None, timeutils.utcnow(with_timezone=True)):
                volume = self.create()
                volume.launched_at = launched_at
                self.made(volume).size = 8 << 20
                glance = Glance(noise(have))
                glance.meta['size'] = size
                with self.subTest(have=have, size=size), \
                        self.assertRaisesRegex(
                            exception.VolumeBackendAPIException, says):
                    self.copy(volume, glance)
                self.assertEqual(b'', bytes(self.made(volume).data))

    def test_a_file_that_was_not_fetched_to_its_end(self):
        glance = Glance(b'')
        glance.meta['size'] = 2 << 20
        glance.temp_images = mock.Mock()
        glance.temp_images.get.return_value = self.file(noise(1 << 20))
        for encrypt in (False, True):
            with self.subTest(encrypt), self.assertRaisesRegex(
                    exception.VolumeBackendAPIException,
                    'after 1048576 of 2097152 bytes'):
                self.driver._copy_image(self.context, self.create(), glance,
                                        IMAGE, encrypt)

    def test_a_file_that_is_cut_meanwhile(self):
        path = self.file(noise(1 << 20))
        with mock.patch.object(os, 'stat', return_value=mock.Mock(
                st_size=2 << 20)), self.assertRaisesRegex(
                    errors.ProblemError, 'after 1048576 of 2097152'):
            self.driver._write_file(self.create(), path)

    def test_a_new_image_leaves_nothing_of_the_old(self):
        volume = self.create()
        v = self.made(volume)
        v.size = 8 << 20
        v.data += noise(8 << 20)
        volume.launched_at = timeutils.utcnow(with_timezone=True)
        self.copy(volume, Glance(b'new' * 512))
        self.assertEqual(b'new' * 512 + bytes((8 << 20) - 1536),
                         bytes(v.data))

    def test_the_limits_do_not_hold_back_the_content(self):
        limits = {'total_bytes_sec': '1'}
        known = {'volume_type': self.volume_type(limits)}
        volume = self.create(**known)
        self.copy(volume, Glance(b'x' * 512))
        fault = stub.Problem('unavailable', 'at its quota')
        for faults, says in (([fault], 'quota'),
                             ([fault, stub.Problem('denied')], 'quota'),
                             ([None, stub.Problem('denied', 'no')], 'no')):
            self.sidecar.faults = [None, *faults]
            with self.subTest(says), self.assertRaisesRegex(
                    exception.VolumeBackendAPIException, says):
                self.copy(volume, Glance(b'x' * 512))
        for glance in (Glance(b'x' * 512), Glance(b'')):
            glance.meta['size'] = 1024
            with self.assertRaises(exception.VolumeBackendAPIException):
                self.copy(volume, glance)
            self.assertEqual(limits, self.made(volume).qos)
        path = '/v1/volumes/%s' % volume.id
        self.assertEqual(
            [('PUT', path + '/qos'), ('PUT', path + '/data'),
             ('PUT', path + '/qos')] * 6,
            [(m, p) for m, p in self.sidecar.made('PUT') if p != path])
        self.assertEqual([{'qos': {}}, {'qos': limits}] * 6, [
            {'qos': b['qos']} for b in self.sidecar.bodies(path + '/qos')])

    def test_a_full_volume(self):
        self.sidecar.faults = [stub.Problem('unavailable', 'at its quota')]
        volume = self.volume()
        with self.assertRaisesRegex(exception.VolumeBackendAPIException,
                                    'quota'):
            self.copy(volume, Glance(b'x' * 512))


class UploadTest(ImageTestCase):

    def setUp(self):
        super().setUp()
        self.volume = self.create()
        self.made(self.volume).size = 4 << 20
        self.made(self.volume).data += bytes(1 << 20) + noise(1 << 20)
        self.content = self.made(self.volume).content()

    def upload(self, **meta):
        glance = Glance(b'')
        self.driver.copy_volume_to_image(self.context, self.volume, glance,
                                         dict(RAW, **meta))
        self.assertEqual([], self.left_files())
        return glance

    def test_raw(self):
        self.volume.volume_type = self.volume_type(
            **{'image_service:store_id': 's'})
        self.volume.glance_metadata = {'image_id': IMAGE}
        glance = self.upload()
        self.assertEqual(self.content, glance.content)
        self.assertEqual({'store_id': 's', 'base_image_ref': IMAGE},
                         glance.updated)

    def test_another_format(self):
        self.volume.volume_type = self.volume_type()
        path = self.file(self.upload(disk_format='qcow2').content)
        raw = self.file()
        subprocess.run(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw',
                        path, raw], check=True)
        with open(raw, 'rb') as f:
            self.assertEqual(self.content, f.read())

    def test_a_volume_that_ends_early(self):
        def cut(handler, _):
            handler.send_response(200)
            handler.send_header('Content-Length', '4096')
            handler.end_headers()
            handler.wfile.write(bytes(512))
            raise stub.Drop
        self.sidecar.faults = [cut]
        with self.assertRaises(exception.VolumeBackendAPIException):
            self.upload()

    def glance(self):
        """Cinder's own image service, of a server that breaks off once."""
        class Handler(GlanceServer):
            bodies = []
        server = http.server.HTTPServer(('127.0.0.1', 0), Handler)

        def serve():  # serve_forever would not yield to green threads
            for _ in range(2):
                server.process_request(*server.socket.accept())
            server.server_close()
        threading.Thread(target=serve, daemon=True).start()
        wrapper = glance.GlanceClientWrapper()
        wrapper.netloc = '127.0.0.1:%d' % server.server_port
        wrapper.client = glanceclient.Client('2', 'http://' + wrapper.netloc)
        return glance.GlanceImageService(wrapper), Handler.bodies

    def test_an_upload_that_cinder_makes_again(self):
        service, bodies = self.glance()
        with self.assertRaisesRegex(exception.VolumeBackendAPIException,
                                    'broke off'), \
                self.assertLogs('cinder.image.glance'):
            self.driver.copy_volume_to_image(self.context, self.volume,
                                             service, RAW)
        # The second was begun by its head, and never ended.
        self.assertEqual(b'', b''.join(bodies))

    def test_an_upload_that_is_short_nevertheless(self):
        service = Glance(b'')
        service.update = lambda *_args, **_known: {'size': 4096}
        with self.assertRaisesRegex(exception.VolumeBackendAPIException,
                                    'took 4096 of 4194304 bytes'):
            self.driver.copy_volume_to_image(self.context, self.volume,
                                             service, RAW)
        self.assertIsNone(service.content)


class EncryptedTest(ImageTestCase):

    def setUp(self):
        super().setUp()
        self.patch(volume_utils, 'check_encryption_provider',
                   lambda volume, context: {
                       'encryption_key_id': volume.encryption_key_id,
                       'provider': 'luks', 'cipher': 'aes-xts-plain64',
                       'key_size': 256})
        keys = mock.Mock()
        keys.get.return_value = symmetric_key.SymmetricKey('AES', 256, KEY)
        self.patch(luks.key_manager, 'API', lambda conf: keys)
        parameters = luks._parameters

        def easy_to_guess(*arguments):
            passphrase, options = parameters(*arguments)
            return passphrase, options + ',iter-time=10'
        self.patch(luks, '_parameters', easy_to_guess)
        self.encrypted = self.volume(encryption_key_id=str(uuid.uuid4()))

    def check_content(self, volume, content):
        """Looks into the LUKS container that the volume is.

        ``content`` is the byte that its first MiB is full of, None for any.
        """
        v = self.made(volume)
        path = self.file(bytes(v.data), v.size)
        read = 'read 0 1M' if content is None else \
            'read -P %d 0 1M' % content
        found = subprocess.run(
            ['qemu-io', '-r', '--object', 'secret,id=s,data=' + KEY.hex(),
             '--image-opts', 'driver=luks,key-secret=s,file.filename=' + path,
             '-c', read, '-c', 'length'], check=True, text=True,
            stdout=subprocess.PIPE).stdout
        os.unlink(path)
        self.assertIn('1 GiB', found)
        self.assertNotIn('failed', found)

    def test_blank(self):
        self.driver.create_volume(self.encrypted)
        self.assertGreater(self.made(self.encrypted).size, GIB)
        self.check_content(self.encrypted, None)
        self.assertEqual([], self.left_files())
        # Only the header was sent.
        self.assertLess(len(self.made(self.encrypted).data), 4 << 20)

    def test_the_type_decides(self):
        self.encrypted.volume_type = self.volume_type({'read_iops_sec': '5'})
        self.driver.create_volume(self.encrypted)
        self.assertEqual({'read_iops_sec': '5'},
                         self.made(self.encrypted).known['qos'])

    def test_image(self):
        self.driver.create_volume(self.encrypted)
        self.driver.copy_image_to_encrypted_volume(
            self.context, self.encrypted, Glance(b'7' * (1 << 20)), IMAGE)
        self.check_content(self.encrypted, ord('7'))
        self.assertEqual([], self.left_files())

    def test_an_image_that_was_an_encrypted_volume(self):
        self.driver.create_volume(self.encrypted)
        v = self.made(self.encrypted)
        glance = Glance(bytes(v.data), cinder_encryption_key_id='k')
        volume = self.volume(encryption_key_id=str(uuid.uuid4()))
        self.driver._create(volume, {'kind': 'empty'})
        # With its header it is larger than the volume, which is no mistake.
        with mock.patch.object(images.image_utils, 'check_virtual_size',
                               side_effect=AssertionError):
            self.driver.copy_image_to_volume(self.context, volume, glance,
                                             IMAGE)
        self.assertEqual(GIB, self.made(volume).size)
        self.driver._write(volume, [bytes(v.data[:512])], v.size, 512)
        self.assertEqual(v.size, self.made(volume).size)
        self.check_content(volume, None)

    def test_the_passphrase_is_nowhere(self):
        said = []
        execute = self.driver._execute

        def spy(*cmd, **known):
            said.append(' '.join(cmd))
            for path in self.left_files():
                with open(os.path.join(self.dir.name, path), 'rb') as f:
                    said.append(f.read(1 << 20).hex())
            return execute(*cmd, **known)
        self.driver._execute = spy
        self.driver.create_volume(self.encrypted)
        self.assertIn('qemu-img create', said[0])
        self.assertNotIn(KEY.hex(), ' '.join(said))
        self.assertNotIn(KEY.hex().encode().hex(), ' '.join(said))


if __name__ == '__main__':
    unittest.main()
