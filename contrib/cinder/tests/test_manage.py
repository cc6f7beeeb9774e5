"""Taking over images and snapshots that are there."""

import unittest
from unittest import mock
import uuid

from cinder import exception
from cinder import objects
from tests import base
from tests import stub

GIB = stub.GIB
LIST = {'marker': None, 'limit': 10, 'offset': 0,
        'sort_keys': ['reference'], 'sort_dirs': ['asc']}


class ManageTest(base.DriverTestCase):

    def setUp(self):
        super().setUp()
        self.sidecar.images = {'old': GIB + 1, 'volume-x': GIB}
        self.known = mock.patch.object(objects.Volume, 'exists',
                                       return_value=False)
        self.exists = self.known.start()
        self.addCleanup(self.known.stop)

    def test_manage(self):
        volume = self.volume(self.volume_type({'total_iops_sec': '9'}))
        ref = {'source-name': 'old'}
        self.assertEqual(2, self.driver.manage_existing_get_size(volume, ref))
        self.assertNotIn(('GET', '/v1/manageable'), self.sidecar.made())
        self.assertEqual({}, self.driver.manage_existing(volume, ref))
        self.assertEqual({'total_iops_sec': '9'}, self.made(volume).qos)
        self.assertEqual(['volume-x'], list(self.sidecar.images))
        self.assertIsNone(self.driver.unmanage(volume))

    def test_bad_references(self):
        volume = self.volume()
        for ref in ({}, {'source-id': 'x'}, {'source-name': ''},
                    {'source-name': 'new'}):
            for call in (self.driver.manage_existing_get_size,
                         self.driver.manage_existing):
                with self.subTest(ref, call=call.__name__), \
                        self.assertRaises(
                            exception.ManageExistingInvalidReference):
                    call(volume, ref)
        self.sidecar.faults = [stub.Problem('in_use', 'open')]
        with self.assertRaisesRegex(exception.ManageExistingInvalidReference,
                                    'open'):
            self.driver.manage_existing(volume, {'source-name': 'old'})

    def test_another_volume_of_cinder(self):
        self.exists.return_value = True
        other = str(uuid.uuid4())
        with self.assertRaises(exception.ManageExistingAlreadyManaged):
            self.driver.manage_existing_get_size(
                self.volume(), {'source-name': 'volume-' + other})

    def test_list(self):
        managed = self.volume(_name_id=str(uuid.uuid4()))
        self.sidecar.images[managed.name] = GIB
        found = {e['reference']['source-name']: e for e in
                 self.driver.get_manageable_volumes([managed], **LIST)}
        self.assertEqual(
            {'reference': {'source-name': 'old'}, 'size': 2,
             'safe_to_manage': True, 'reason_not_safe': None,
             'cinder_id': None, 'extra_info': None}, found['old'])
        self.assertEqual(
            {'reference': {'source-name': managed.name}, 'size': 1,
             'safe_to_manage': False, 'reason_not_safe': 'already managed',
             'cinder_id': managed.id, 'extra_info': None},
            found[managed.name])
        self.assertEqual(1, len(self.driver.get_manageable_volumes(
            [managed], **dict(LIST, limit=1))))

    def test_snapshots(self):
        volume = self.create(size=2)
        managed, new = self.snapshot(volume), self.snapshot(volume)
        for name in ('old', 'backup.1.snap.2'):
            self.made(volume).snapshots[name] = b''
        self.driver.create_snapshot(managed)
        self.made(volume).snapshots['snapshot-' + managed.id] = \
            self.made(volume).snapshots.pop(managed.id)
        found = {e['reference']['source-name']: e for e in
                 self.driver.get_manageable_snapshots(
                     [{'id': managed.id}], **LIST)}
        self.assertEqual({
            'old': (True, None, None),
            'backup.1.snap.2': (False, 'of a backup', None),
            'snapshot-' + managed.id: (False, 'already managed', managed.id)},
            {n: (e['safe_to_manage'], e['reason_not_safe'], e['cinder_id'])
             for n, e in found.items()})
        self.assertEqual({'source-name': volume.name},
                         found['old']['source_reference'])
        for ref in ({'source-name': 'old'}, 'old'):
            self.assertEqual(
                2, self.driver.manage_existing_snapshot_get_size(new, ref))
        self.driver.manage_existing_snapshot(new, {'source-name': 'old'})
        self.assertIn(new.id, self.made(volume).snapshots)
        self.assertIsNone(self.driver.unmanage_snapshot(new))
        self.assertEqual({new.id}, self.made(volume).released)
        with self.assertRaises(exception.VolumeBackendAPIException):
            self.driver.unmanage_snapshot(self.snapshot(volume))
        for call in (self.driver.manage_existing_snapshot_get_size,
                     self.driver.manage_existing_snapshot):
            with self.subTest(call.__name__), self.assertRaises(
                    exception.ManageExistingInvalidReference):
                call(new, {'source-name': 'old'})


if __name__ == '__main__':
    unittest.main()
