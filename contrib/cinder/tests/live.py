"""The driver against a real sidecar and cluster, and Cinder's own beside it.

Not found by `python3 -m unittest` alone, because it needs both:

    RBDCTL_SOCKET=PATH CEPH_CONF=FILE python3 -m unittest tests.live

The sidecar must serve a pool `volumes` that nothing else uses, as an entity
whose keyring CEPH_CONF finds; CEPH_USER names it (cinder).
"""

import os
import subprocess
import time
from unittest import mock
import uuid

from castellan.common.objects import symmetric_key
from oslo_utils import timeutils

from cinder import exception
from cinder import objects
from cinder.tests.unit import fake_group
from cinder.tests.unit import fake_group_snapshot
from cinder.volume import group_types
from cinder.volume import volume_utils
from cinder.volume.drivers import rbd
from rbdctl_cinder import luks
from tests import base
from tests import test_images
from tests.test_images import GIB
from tests.test_images import noise

SOCKET = os.environ.get('RBDCTL_SOCKET', '/run/rbdctl/rbdctl.sock')
CONF = os.environ.get('CEPH_CONF', '/etc/ceph/ceph.conf')
USER = os.environ.get('CEPH_USER', 'cinder')


def ceph(*command):
    return subprocess.run(
        [command[0], '--conf', CONF, *command[1:]], check=True, text=True,
        stdout=subprocess.PIPE).stdout


class LiveTestCase(base.DriverTestCase):

    def setUp(self):
        super().setUp()
        self.driver = self.new_driver(
            rbdctl_socket=SOCKET, rbd_ceph_conf=CONF, rbd_user=USER,
            rados_connection_interval=1)
        self.driver.do_setup(self.context)
        self.driver.check_for_setup_error()
        self.made_here = []
        self.addCleanup(self.delete_all)

    def delete_all(self):
        for volume in reversed(self.made_here):
            self.driver.delete_volume(volume)

    def purged(self):
        """Purges until nothing waits: the sidecar may be at it, too."""
        for _ in range(60):
            if not self.driver._client.call(
                    'POST', '/v1/trash/purge', {})['waiting']:
                return
            time.sleep(1)
        self.fail('the trash is never empty')

    def volume(self, *args, **known):
        made = super().volume(*args, **known)
        made.status = 'available'
        self.made_here.append(made)
        return made

    def content(self, volume, size):
        with self.driver._client.download(
                self.driver._path(volume) + '/data') as data:
            return data.read(size)

    def size(self, volume):
        return self.driver._client.call(
            'GET', self.driver._path(volume))['size_bytes']

    def write(self, volume, content):
        self.driver.copy_image_to_volume(
            self.context, volume, test_images.Glance(content),
            test_images.IMAGE)

    def upstream(self):
        made = rbd.RBDDriver(configuration=self.driver.configuration)
        made._active_config = {'name': 'ceph', 'conf': CONF, 'user': USER,
                               'secret_uuid': 's'}
        return made


class LiveTest(LiveTestCase):

    def test_life_of_a_volume(self):
        self.assertEqual('up', self.driver.get_volume_stats(True)[
            'backend_state'])
        content, other = noise(1 << 20), noise(1 << 20)
        volume = self.create()
        self.write(volume, content)
        self.driver.extend_volume(volume, 2)
        self.assertEqual(2 * GIB, self.size(volume))
        volume.size = 2
        snapshot = self.snapshot(volume)
        self.driver.create_snapshot(snapshot)
        self.driver.create_snapshot(snapshot)
        of_snapshot, of_volume = self.volume(size=3), self.volume(size=2)
        self.driver.create_volume_from_snapshot(of_snapshot, snapshot)
        self.driver.create_cloned_volume(of_volume, volume)
        volume.launched_at = timeutils.utcnow(with_timezone=True)
        self.write(volume, other)
        self.assertEqual(other, self.content(volume, 1 << 20))
        self.driver.revert_to_snapshot(self.context, volume, snapshot)
        for v, size in ((volume, 2), (of_snapshot, 3), (of_volume, 2)):
            self.assertEqual((content, size * GIB), (
                self.content(v, 1 << 20), self.size(v)))
        self.driver.delete_snapshot(snapshot)
        self.driver.delete_volume(volume)
        self.driver.delete_volume(volume)
        self.assertEqual(content, self.content(of_volume, 1 << 20))

    def test_clone_of_an_image(self):
        image, content = str(uuid.uuid4()), noise(1 << 20)
        spec = 'images/' + image
        ceph('rbd', 'import', '--no-progress', self.image_file(content), spec)
        self.addCleanup(ceph, 'rbd', 'rm', '--no-progress', spec)
        ceph('rbd', 'snap', 'create', '--no-progress', spec + '@snap')
        ceph('rbd', 'snap', 'protect', spec + '@snap')
        location = 'rbd://%s/%s/snap' % (self.driver._fsid(), spec)
        meta = dict(test_images.RAW, id=image)
        for driver in (self.driver, self.upstream()):
            volume = self.volume(size=2)
            update, cloned = driver.clone_image(
                self.context, volume, (location, None), meta, None)
            self.assertEqual(({'provider_location': None}, True),
                             (update, cloned))
            self.assertEqual((content, 2 * GIB), (
                self.content(volume, 1 << 20), self.size(volume)))
        for volume in self.made_here:
            self.driver.delete_volume(volume)
        self.purged()
        ceph('rbd', 'snap', 'unprotect', spec + '@snap')
        ceph('rbd', 'snap', 'rm', '--no-progress', spec + '@snap')

    def test_import_of_an_image(self):
        image, content = str(uuid.uuid4()), noise(1 << 20)
        spec, path = 'images/' + image, self.image_file(content)
        subprocess.run(['qemu-img', 'convert', '-c', '-f', 'raw', '-O',
                        'qcow2', path, path + '.qcow2'], check=True)
        ceph('rbd', 'import', '--no-progress', path + '.qcow2', spec)
        self.addCleanup(ceph, 'rbd', 'rm', '--no-progress', spec)
        ceph('rbd', 'snap', 'create', '--no-progress', spec + '@snap')
        self.addCleanup(ceph, 'rbd', 'snap', 'rm', '--no-progress',
                        spec + '@snap')
        location = 'rbd://%s/%s/snap' % (self.driver._fsid(), spec)
        meta = dict(test_images.RAW, id=image, disk_format='qcow2')
        volume = self.volume(size=2)
        for _ in range(2):
            self.assertEqual(
                ({'provider_location': None}, True), self.driver.clone_image(
                    self.context, volume, (location, None), meta, None))
            self.assertEqual((content, 2 * GIB), (
                self.content(volume, 1 << 20), self.size(volume)))
        self.assertEqual(({}, False), self.driver.clone_image(
            self.context, self.volume(size=2), (location, None),
            dict(meta, disk_format='raw'), None))

    def image_file(self, content):
        path = os.path.join(self.dir.name, 'image')
        with open(path, 'wb') as f:
            f.write(content)
        return path

    def test_upload(self):
        volume = self.create()
        content = noise(1 << 20)
        self.write(volume, content)
        glance = test_images.Glance(b'')
        self.driver.copy_volume_to_image(
            self.context, volume, glance, dict(test_images.RAW))
        self.assertEqual((content, GIB), (glance.content[:1 << 20],
                                          len(glance.content)))

    def test_in_use(self):
        volume = self.create()
        with rbd.RBDVolumeProxy(self.upstream(), volume.name) as image:
            image.write(b'x' * 512, 0)
            with self.assertRaises(exception.VolumeIsBusy):
                self.driver.delete_volume(volume)
            self.driver.extend_volume(volume, 2)
        self.assertEqual(2 * GIB, self.size(volume))

    def test_limits(self):
        volume = self.volume(self.volume_type({'total_iops_sec': '100'}))
        self.driver.create_volume(volume)

        def limits():
            return {k: v for k, v in self.driver._client.call(
                'GET', self.driver._path(volume))['metadata'].items()}
        self.assertEqual({'conf_rbd_qos_iops_limit': '100'}, limits())
        self.assertEqual('100', self.upstream().get_rbd_image_qos(volume)[
            'rbd_qos_iops_limit'])
        self.driver.retype(self.context, volume, self.volume_type(),
                           {'qos_specs': {'consumer': 'back-end'}}, {})
        self.assertEqual({}, limits())

    def test_multiattach(self):
        volume = self.create()
        before = ceph('rbd', 'info', 'volumes/' + volume.name)
        several = self.volume_type(multiattach='<is> True')
        _, update = self.driver.retype(self.context, volume, several, {}, {})
        self.assertNotIn('exclusive', ceph('rbd', 'info', 'volumes/' +
                                           volume.name))
        volume.volume_type = several
        volume.update(update)
        self.driver.retype(self.context, volume, self.volume_type(), {}, {})
        # An object map that comes back is invalid until somebody rebuilds it,
        # as it is with the upstream driver.
        ceph('rbd', 'object-map', 'rebuild', '--no-progress',
             'volumes/' + volume.name)
        self.assertEqual(before, ceph('rbd', 'info', 'volumes/' +
                                      volume.name))

    def test_multiattach_across_a_switch(self):
        """What one driver began, the other one ends."""
        one, several = self.volume_type(), self.volume_type(
            multiattach='<is> True')

        def retype(driver, volume, new):
            volume.update(driver.retype(self.context, volume, new, {}, {})[1])
            volume.volume_type = new
            return 'exclusive' in ceph('rbd', 'info', 'volumes/' + volume.name)
        upstream = self.upstream()
        for first, second in ((self.driver, upstream),
                              (upstream, self.driver)) * 2:
            volume = self.volume(several)
            volume.update(first.create_volume(volume))
            self.assertEqual('{"saved_features":61}',
                             volume.provider_location)
            self.assertTrue(retype(second, volume, one))
            self.assertIsNone(volume.provider_location)
            self.assertFalse(retype(first, volume, several))
            self.assertTrue(retype(second, volume, one))
            self.assertFalse(retype(second, volume, several))
            self.assertTrue(retype(first, volume, one))

    def test_manage(self):
        name = 'old-' + uuid.uuid4().hex
        ceph('rbd', 'create', '--size', '1G', 'volumes/' + name)
        ceph('rbd', 'snap', 'create', '--no-progress', 'volumes/%s@s' % name)
        volume = self.volume()
        ref = {'source-name': name}
        with mock.patch.object(objects.Volume, 'exists', return_value=False):
            self.assertEqual(1, self.driver.manage_existing_get_size(
                volume, ref))
        found = {e['reference']['source-name']: e['safe_to_manage'] for e in
                 self.driver.get_manageable_volumes(
                     [], None, 1000, 0, ['reference'], ['asc'])}
        self.assertTrue(found[name])
        self.driver.manage_existing(volume, ref)
        snapshot, ref = self.snapshot(volume), {'source-name': 's'}
        self.assertEqual(1, self.driver.manage_existing_snapshot_get_size(
            snapshot, ref))
        self.assertIn('s', [
            e['reference']['source-name'] for e in
            self.driver.get_manageable_snapshots(
                [], None, 1000, 0, ['reference'], ['asc'])])
        self.driver.manage_existing_snapshot(snapshot, ref)
        self.driver.unmanage_snapshot(snapshot)
        ceph('rbd', 'snap', 'rm', '--no-progress', 'volumes/%s@snapshot-%s' %
             (volume.name, snapshot.id))

    def test_migrated(self):
        volume, new = self.volume(), self.create()
        new.provider_location = None
        self.assertEqual(
            {'_name_id': None, 'provider_location': None},
            self.driver.update_migrated_volume(self.context, volume, new,
                                               'available'))
        self.assertEqual(GIB, self.size(volume))

    def test_to_the_upstream_driver_and_back(self):
        upstream = self.upstream()
        content = noise(1 << 20)
        ours = self.create()
        self.write(ours, content)
        kept = self.snapshot(ours)
        self.driver.create_snapshot(kept)
        before = ceph('rbd', 'info', 'volumes/' + ours.name)
        # Upstream's driver takes over.
        upstream.check_for_setup_error()
        self.assertEqual(before, ceph('rbd', 'info', 'volumes/' + ours.name))
        theirs, cloned = self.volume(), self.volume()
        upstream.create_volume_from_snapshot(theirs, kept)
        upstream.create_cloned_volume(cloned, ours)
        upstream.extend_volume(theirs, 2)
        snapshot = self.snapshot(theirs)
        upstream.create_snapshot(snapshot)
        # And gives back.
        self.assertEqual(
            {'volumes/' + theirs.name: 2 * GIB, 'volumes/' + cloned.name: GIB},
            {'volumes/' + v.name: self.size(v) for v in (theirs, cloned)})
        again = self.volume(size=2)
        self.driver.create_volume_from_snapshot(again, snapshot)
        for v in (theirs, cloned, again):
            self.assertEqual(content, self.content(v, 1 << 20))
        self.driver.delete_snapshot(snapshot)
        self.driver.delete_volume(theirs)
        self.driver.delete_snapshot(kept)
        self.driver.delete_volume(ours)
        self.assertEqual(content, self.content(again, 1 << 20))

    def test_group(self):
        """Its snapshots are as any other, for Cinder's own driver, too."""
        self.patch(group_types, 'get_group_type_specs',
                   lambda _type, key: '<is> True')
        sources = [self.create(), self.create()]
        contents = [noise(1 << 20), noise(2 << 20)]
        group, copy = [fake_group.fake_group_obj(
            self.context, id=str(uuid.uuid4())) for _ in range(2)]
        self.driver.create_group(self.context, group)
        self.driver.update_group(self.context, group, add_volumes=sources)
        for volume, content in zip(sources, contents):
            self.write(volume, content)
        taken = fake_group_snapshot.fake_group_snapshot_obj(
            self.context, id=str(uuid.uuid4()), group_id=group.id)
        snapshots = [self.snapshot(v) for v in sources]
        self.driver.create_group_snapshot(self.context, taken, snapshots)
        theirs = self.volume(size=1)
        self.upstream().create_volume_from_snapshot(theirs, snapshots[1])
        self.assertEqual(contents[1], self.content(theirs, 2 << 20))
        clones = [self.volume(), self.volume()]
        self.driver.create_group_from_src(
            self.context, copy, clones, source_group=group,
            source_vols=sources)
        for clone, content in zip(clones, contents):
            self.assertEqual(content, self.content(clone, len(content)))
        self.driver.delete_group_snapshot(self.context, taken, snapshots)
        for g, volumes in ((group, sources), (copy, clones)):
            update, _ = self.driver.delete_group(self.context, g, volumes)
            self.assertEqual('deleted', update['status'])
        self.assertEqual(contents[1], self.content(theirs, 2 << 20))
        self.assertEqual('', ceph('rbd', 'group', 'ls', 'volumes'))

    def test_same_connection(self):
        volume = self.create()
        ours = self.driver.initialize_connection(volume, {})
        theirs = self.upstream()
        with mock.patch.object(theirs, '_ceph_args', return_value=[
                '--conf', CONF]):
            theirs = theirs.initialize_connection(volume, {})
        theirs['data']['secret_uuid'] = ours['data']['secret_uuid']
        self.assertEqual(theirs, ours)


class LiveEncryptedTest(LiveTestCase):

    def setUp(self):
        super().setUp()
        self.patch(volume_utils, 'check_encryption_provider',
                   lambda volume, context: {
                       'encryption_key_id': volume.encryption_key_id,
                       'provider': 'luks', 'cipher': 'aes-xts-plain64',
                       'key_size': 256})
        keys = mock.Mock()
        keys.get.return_value = symmetric_key.SymmetricKey(
            'AES', 256, test_images.KEY)
        self.patch(luks.key_manager, 'API', lambda conf: keys)

    def header(self, volume):
        """How much larger than the volume the image is, with its magic."""
        self.assertEqual(b'LUKS', self.content(volume, 4))
        return self.size(volume) - volume.size * GIB

    def test_headers_are_kept(self):
        def encrypted(size):
            return self.volume(size=size, encryption_key_id=str(uuid.uuid4()))
        volume = encrypted(1)
        self.driver.create_volume(volume)
        header = self.header(volume)
        self.assertGreater(header, 0)
        snapshot = self.snapshot(volume)
        self.driver.create_snapshot(snapshot)
        for size in (1, 2):
            of_snapshot, of_volume = encrypted(size), encrypted(size)
            self.driver.create_volume_from_snapshot(of_snapshot, snapshot)
            self.driver.create_cloned_volume(of_volume, volume)
            self.assertEqual([header] * 2, [
                self.header(of_snapshot), self.header(of_volume)])
        self.driver.extend_volume(volume, 3)
        volume.size = 3
        self.assertEqual(header, self.header(volume))

    def test_image(self):
        volume = self.volume(encryption_key_id=str(uuid.uuid4()))
        self.driver.create_volume(volume)
        header = self.header(volume)
        self.driver.copy_image_to_encrypted_volume(
            self.context, volume, test_images.Glance(noise(1 << 20)),
            test_images.IMAGE)
        self.assertEqual(header, self.header(volume))

