"""The driver, on Cinder's own objects."""

import json
import os
import unittest
from unittest import mock
import uuid

from oslo_config import cfg
import tenacity

from cinder import context
from cinder import exception
from cinder import objects
from cinder.volume import configuration
from cinder.volume import driver as cinder_driver
from rbdctl_cinder import options
from tests import base
from tests import stub

GIB = stub.GIB
MULTIATTACH = {'multiattach': '<is> True'}


class VolumeTest(base.DriverTestCase):

    def test_create_and_delete(self):
        volume = self.volume(size=3)
        self.assertEqual({}, self.driver.create_volume(volume))
        self.assertEqual(
            {'size_bytes': 3 * GIB, 'source': {'kind': 'empty'},
             'object_size_bytes': 4 << 20}, self.made(volume).known)
        self.driver.delete_volume(volume)
        self.driver.delete_volume(volume)
        self.assertEqual({}, self.sidecar.volumes)

    def test_object_size_is_a_power_of_two(self):
        self.driver = self.new_driver(rbd_store_chunk_size=12)
        self.assertEqual(8 << 20, self.made(self.create()).known[
            'object_size_bytes'])

    def test_a_migrated_volume_has_another_image(self):
        volume = self.create(_name_id=str(uuid.uuid4()))
        self.assertEqual([volume._name_id], list(self.sidecar.volumes))
        self.driver.delete_volume(volume)
        self.assertEqual({}, self.sidecar.volumes)

    def test_the_type_decides(self):
        volume = self.volume(self.volume_type(
            {'total_iops_sec': 100, 'read_bytes_sec_max': '7',
             'total_iops_sec_per_gb': 3}, **MULTIATTACH))
        update = self.driver.create_volume(volume)
        self.assertEqual(
            ({'total_iops_sec': '100', 'read_bytes_sec_max': '7'}, True),
            (self.made(volume).known['qos'],
             self.made(volume).known['multiattach']))
        self.assertEqual({'saved_features': 61},
                         json.loads(update['provider_location']))

    def test_multiattach_that_another_driver_began(self):
        several, one = self.volume_type(**MULTIATTACH), self.volume_type()
        for location, features in (
                ('{"saved_features":61}', 61), ('{"saved_features":36}', 37),
                (None, 33), ('', 33), ('{}', 33), ('[1]', 33), ('x', 33),
                ('{"saved_features":null}', 33),
                ('{"saved_features":-1}', 33)):
            with self.subTest(location):
                volume = self.create()
                volume.volume_type = several
                volume.provider_location = location
                self.made(volume).features = 33
                self.assertEqual(
                    (True, {'provider_location': None}), self.driver.retype(
                        self.context, volume, one, {}, {}))
                self.assertEqual(features, self.made(volume).features)

    def test_multiattach_that_another_driver_ends(self):
        volume = self.create()
        self.assertIsNone(volume.provider_location)
        for _ in range(2):  # as when an answer was lost
            _, update = self.driver.retype(
                self.context, volume, self.volume_type(**MULTIATTACH), {}, {})
            self.assertEqual({'provider_location': '{"saved_features":61}'},
                             update)
        self.assertEqual(33, self.made(volume).features)

    def test_limits_of_the_hypervisor_are_not_ours(self):
        volume = self.volume(self.volume_type({'total_iops_sec': 100},
                                              'front-end'))
        self.driver.create_volume(volume)
        self.assertNotIn('qos', self.made(volume).known)

    def test_replication_is_refused(self):
        volume = self.volume(self.volume_type(
            replication_enabled='<is> True'))
        with self.assertRaisesRegex(exception.VolumeDriverException,
                                    'does not mirror'):
            self.driver.create_volume(volume)
        self.assertEqual([], self.sidecar.requests)

    def test_from_snapshot(self):
        source = self.create()
        self.made(source).data += b'a' * 512
        snapshot = self.snapshot(source)
        self.driver.create_snapshot(snapshot)
        volume = self.volume(size=2)
        self.assertEqual({}, self.driver.create_volume_from_snapshot(
            volume, snapshot))
        self.assertEqual(
            {'size_bytes': 2 * GIB, 'source': {
                'kind': 'snapshot', 'id': snapshot.id,
                'volume_id': source.id}}, self.made(volume).known)
        self.assertNotIn('flatten', str(self.sidecar.made()))

    def test_from_snapshot_flattened(self):
        self.driver = self.new_driver(rbd_flatten_volume_from_snapshot=True)
        snapshot = self.snapshot(self.create())
        self.driver.create_snapshot(snapshot)
        for use_quota in (True, False):
            with self.subTest(use_quota=use_quota):
                volume = self.volume(use_quota=use_quota)
                self.driver.create_volume_from_snapshot(volume, snapshot)
                self.assertEqual(
                    use_quota, ('POST', '/v1/volumes/%s/flatten' % volume.id)
                    in self.sidecar.made())
                self.assertEqual(not use_quota, self.made(volume).known.get(
                    'temporary', False))

    def test_from_volume(self):
        source = self.create(_name_id=str(uuid.uuid4()))
        volume = self.volume(size=2)
        self.assertEqual({}, self.driver.create_cloned_volume(volume, source))
        self.assertEqual(
            {'size_bytes': 2 * GIB, 'source': {
                'kind': 'volume', 'id': source._name_id}},
            self.made(volume).known)

    def test_busy(self):
        volume = self.create()
        self.sidecar.faults = [stub.Problem('in_use', 'open by 10.0.0.7')]
        with self.assertRaisesRegex(exception.VolumeIsBusy, '10.0.0.7'):
            self.driver.delete_volume(volume)
        self.sidecar.faults = [stub.Problem('in_use')]
        with self.assertRaises(exception.SnapshotIsBusy):
            self.driver.delete_snapshot(self.snapshot(volume))

    def test_busy_for_some_seconds(self):
        self.driver = self.new_driver(rados_connection_retries=3,
                                      rados_connection_interval=7)
        slept = []
        self.patch(tenacity.nap, 'sleep', slept.append)
        volume = self.create()
        self.sidecar.faults = [stub.Problem('in_use')] * 2
        self.driver.delete_volume(volume)
        self.assertEqual(({}, [7, 14]), (self.sidecar.volumes, slept))
        self.sidecar.faults = [stub.Problem('in_use')] * 3
        with self.assertRaises(exception.VolumeIsBusy):
            self.driver.delete_volume(volume)
        self.assertEqual([], self.sidecar.faults)

    def test_every_problem(self):
        volume = self.create()
        snapshot = self.snapshot(volume)
        # objects.Volume has no database here.
        backend = exception.VolumeBackendAPIException
        calls = {
            'create_volume': (self.volume(),),
            'create_volume_from_snapshot': (self.volume(), snapshot),
            'create_cloned_volume': (self.volume(), volume),
            'delete_volume': (volume,),
            'extend_volume': (volume, 2),
            'create_snapshot': (snapshot,),
            'delete_snapshot': (snapshot,),
            'revert_to_snapshot': (self.context, volume, snapshot),
            'initialize_connection': (volume, {}),
            'retype': (self.context, volume,
                       self.volume_type(**MULTIATTACH), {}, {}),
        }
        busy = {'delete_volume': exception.VolumeIsBusy,
                'delete_snapshot': exception.SnapshotIsBusy}
        for name, arguments in calls.items():
            for kind in stub._STATUS:
                with self.subTest(name, kind=kind):
                    want = busy.get(name, backend) if kind == 'in_use' \
                        else backend
                    self.sidecar.faults = [stub.Problem(kind, 'why not')]
                    with self.assertRaisesRegex(want, 'why not'):
                        getattr(self.driver, name)(*arguments)

    def test_extend(self):
        volume = self.create()
        self.driver.extend_volume(volume, 5)
        self.driver.extend_volume(volume, '5')
        self.assertEqual(5 * GIB, self.made(volume).size)

    def test_request_id(self):
        self.context = context.RequestContext('u', 'p', is_admin=True)
        self.create()
        self.assertEqual(self.context.request_id,
                         self.sidecar.requests[-1][3])

    def test_snapshots(self):
        volume = self.create()
        snapshot = self.snapshot(volume)
        self.made(volume).data += b'a' * 512
        self.driver.create_snapshot(snapshot)
        self.made(volume).data[:512] = b'b' * 512
        self.driver.revert_to_snapshot(self.context, volume, snapshot)
        self.assertEqual(b'a' * 512, bytes(self.made(volume).data))
        self.driver.delete_snapshot(snapshot)
        self.driver.delete_snapshot(snapshot)
        self.assertEqual({}, self.made(volume).snapshots)

    def test_retype(self):
        limits = {'total_iops_sec': '100'}
        volume = self.create()
        for new, diff, update, qos in (
                (self.volume_type(limits), {'qos_specs': {'consumer': 1}},
                 {}, limits),
                (self.volume_type(), {}, {}, limits),
                (self.volume_type(), {'qos_specs': {'consumer': 1}}, {}, {}),
                (self.volume_type(**MULTIATTACH), None,
                 {'provider_location': '{"saved_features":61}'}, {}),
                (self.volume_type(), None, {'provider_location': None}, {})):
            with self.subTest(diff=diff, update=update):
                self.assertEqual((True, update), self.driver.retype(
                    self.context, volume, new, diff, {}))
                self.assertEqual(qos, self.made(volume).qos)
                volume.volume_type = new
                volume.update(update)
        self.assertEqual((False, None), self.driver.retype(
            self.context, volume,
            self.volume_type(replication_enabled='<is> True'), {}, {}))

    def test_connection(self):
        volume = self.create(_name_id=str(uuid.uuid4()))
        found = self.driver.initialize_connection(volume, {})
        self.assertEqual('rbd', found['driver_volume_type'])
        self.assertEqual(
            {'name': 'volumes/' + volume.name, 'hosts': ['10.0.0.1'],
             'ports': ['6789'], 'cluster_name': 'ceph', 'auth_enabled': True,
             'auth_username': 'sidecar', 'secret_type': 'ceph',
             'secret_uuid': stub.FSID, 'volume_id': volume.id,
             'discard': True}, found['data'])
        self.driver = self.new_driver(
            rbd_user='cinder', rbd_secret_uuid='s', rbd_cluster_name='c')
        found = self.driver.initialize_connection(volume, {})['data']
        self.assertEqual(('cinder', 's', 'c'), (
            found['auth_username'], found['secret_uuid'],
            found['cluster_name']))
        for call in (self.driver.create_export, self.driver.ensure_export,
                     self.driver.remove_export):
            self.assertIsNone(call(*[None] * (
                3 if call == self.driver.create_export else 2)))
        self.assertIsNone(self.driver.terminate_connection(volume, {}))


class MigrationTest(base.DriverTestCase):

    def test_rename(self):
        volume = self.volume()
        new = self.create()
        new.provider_location = 'p'
        self.assertEqual(
            {'_name_id': None, 'provider_location': 'p'},
            self.driver.update_migrated_volume(
                self.context, volume, new, 'available'))
        self.assertEqual([volume.id], list(self.sidecar.volumes))

    def test_the_name_that_cannot_be_had(self):
        volume, new = self.create(), self.create()
        new.provider_location = 'p'
        kept = {'_name_id': new.id, 'provider_location': 'p'}
        for status in ('in-use', 'available'):  # in use; taken
            with self.subTest(status):
                self.assertEqual(kept, self.driver.update_migrated_volume(
                    self.context, volume, new, status))

    def test_a_name_that_is_not_known(self):
        volume, new = self.volume(), self.create()
        for kind in set(stub._STATUS) - {'not_found', 'exists'}:
            self.sidecar.faults = [stub.Problem(kind, 'why not')]
            with self.subTest(kind), self.assertRaisesRegex(
                    exception.VolumeBackendAPIException, 'why not'):
                self.driver.update_migrated_volume(self.context, volume, new,
                                                   'available')
        self.sidecar.faults = [stub.Problem('not_found')]
        self.assertEqual(new.id, self.driver.update_migrated_volume(
            self.context, volume, new, 'available')['_name_id'])

    def test_migrate(self):
        self.driver.get_volume_stats(refresh=True)
        here = {'storage_protocol': 'ceph',
                'location_info': 'ceph:/etc/ceph/ceph.conf:%s:cinder:volumes'
                % stub.FSID}
        for capabilities, moved in (
                (here, True),
                (dict(here, storage_protocol='iSCSI'), False),
                (dict(here, location_info='a:b:c'), False),
                (dict(here, location_info=here['location_info'] + '2'), False),
                (dict(here, location_info='ceph::other:cinder:volumes'),
                 False), ({}, False)):
            with self.subTest(capabilities):
                self.assertEqual((moved, None), self.driver.migrate_volume(
                    self.context, self.volume(),
                    {'capabilities': capabilities}))

    def test_two_backends_of_one_pool(self):
        other = self.new_driver().get_volume_stats(refresh=True)
        self.driver.get_volume_stats(refresh=True)
        self.assertEqual((True, None), self.driver.migrate_volume(
            self.context, self.volume(), {'capabilities': other}))

    def test_backup_of_the_volume_itself(self):
        volume = self.volume(previous_status='in-use')
        backup = mock.Mock(volume_id=volume.id, snapshot_id=None,
                           service='cinder.backup.drivers.ceph.'
                                   'CephBackupDriver')
        with mock.patch.object(objects.Volume, 'get_by_id',
                               return_value=volume):
            self.assertEqual((volume, False), self.driver.get_backup_device(
                self.context, backup))
            backup.service = 'cinder.backup.drivers.nfs.NFSBackupDriver'
            with mock.patch.object(
                    self.driver, '_create_temp_cloned_volume',
                    return_value=mock.Mock(id='t')) as clone:
                found, is_snapshot = self.driver.get_backup_device(
                    self.context, backup)
            self.assertEqual((clone.return_value, False),
                             (found, is_snapshot))


class StatsTest(base.DriverTestCase):

    def test_up(self):
        found = self.driver.get_volume_stats(refresh=True)
        want = {'volume_backend_name': 'ceph', 'backend_state': 'up',
                'total_capacity_gb': 100.0, 'free_capacity_gb': 60.0,
                'storage_protocol': 'ceph', 'QoS_support': True,
                'qos_support': True, 'multiattach': True,
                'thin_provisioning_support': True, 'total_volumes': 3,
                'online_extend_support': True, 'replication_enabled': False,
                'consistent_group_snapshot_enabled': True,
                'reserved_percentage': 0,
                'max_over_subscription_ratio': '20.0',
                'vendor_name': 'Open Source', 'driver_version': '1.0.0',
                'location_info': 'ceph::%s:None:volumes' % stub.FSID}
        self.assertEqual(want, found)

    def test_options(self):
        self.sidecar.stats['provisioned_bytes'] = 5 * GIB
        found = self.new_driver(
            report_dynamic_total_capacity=False,
            rbd_exclusive_cinder_pool=False).get_volume_stats(refresh=True)
        self.assertEqual((200.0, 5.0), (found['total_capacity_gb'],
                                        found['provisioned_capacity_gb']))

    def test_down(self):
        up = self.driver.get_volume_stats(refresh=True)
        for fault in (stub.Problem('unavailable'), stub.Drop(),
                      stub.Problem('not_found'),
                      lambda h, _: (200, {'state': 'down'})):
            with self.subTest(str(fault)):
                self.sidecar.faults = [fault]
                found = self.driver.get_volume_stats(refresh=True)
                self.assertEqual(
                    ('down', 'unknown', 'unknown', up['location_info']),
                    (found['backend_state'], found['total_capacity_gb'],
                     found['free_capacity_gb'], found['location_info']))
                self.assertEqual(up, self.driver.get_volume_stats(True))

    def test_setup(self):
        self.driver.do_setup(self.context)
        self.driver.check_for_setup_error()

    def test_setup_without_an_answer(self):
        self.sidecar.faults = [stub.Problem('unavailable')]
        self.driver.check_for_setup_error()
        self.sidecar.faults = [stub.Problem('denied')]
        with self.assertRaises(exception.VolumeBackendAPIException):
            self.driver.check_for_setup_error()

    def test_setup_of_another_pool(self):
        volume = self.create()
        self.sidecar.stats['pool'] = 'fast'
        for call in (self.driver.check_for_setup_error,
                     lambda: self.driver.delete_volume(volume),
                     lambda: self.driver.delete_snapshot(
                         self.snapshot(volume)),
                     lambda: self.driver.create_volume(self.volume())):
            with self.assertRaisesRegex(exception.VolumeBackendAPIException,
                                        'pool "volumes", .* serves "fast"'):
                call()
        self.assertEqual([volume.id], list(self.sidecar.volumes))
        self.assertEqual('down', self.driver.get_volume_stats(True)[
            'backend_state'])

    def test_setup_of_replication(self):
        self.driver = self.new_driver(
            replication_device=[{'backend_id': 'b'}])
        with self.assertRaisesRegex(exception.InvalidConfigurationValue,
                                    'replication_device'):
            self.driver.do_setup(self.context)

    def test_options_without_effect_are_named_as_cinder_has_them(self):
        """Cinder registers none of an RBD driver for a backend."""
        with open(os.path.join(self.dir.name, 'cinder.conf'), 'w') as f:
            f.write('[fast]\nrbd_max_clone_depth = 2\nrbd_pool = volumes\n'
                    'deferred_deletion_purge_interval = 9\n'
                    'rados_connection_retries = 4\n'
                    'replication_connect_timeout = 1\n')
        cfg.CONF([], project='cinder', default_config_files=[f.name])
        conf = configuration.Configuration(cinder_driver.volume_opts,
                                           config_group='fast')
        conf.append_config_values(options.OPTIONS)
        self.assertEqual(
            ['rbd_max_clone_depth', 'replication_connect_timeout',
             'deferred_deletion_purge_interval'],
            [name for name, _why in options.without_effect(conf)])

    def test_every_option_means_the_same_or_is_named(self):
        self.assertEqual(
            {o.dest for o in options.upstream.RBD_OPTS},
            set(options._KEPT) | set(options._ELSEWHERE))

    def test_options_without_effect_are_named(self):
        self.driver = self.new_driver(enable_deferred_deletion=True,
                                      rados_connect_timeout=5)
        with self.assertLogs('rbdctl_cinder.driver', 'WARNING') as logs:
            self.driver.do_setup(self.context)
        self.assertEqual(2, len(logs.output))
        self.assertIn('enable_deferred_deletion', str(logs.output))


if __name__ == '__main__':
    unittest.main()
