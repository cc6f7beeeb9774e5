"""Consistent groups, on Cinder's own objects."""

import unittest
import uuid

from cinder import exception
from cinder.tests.unit import fake_group
from cinder.tests.unit import fake_group_snapshot
from cinder.volume import group_types
from tests import base
from tests import stub


class GroupTest(base.DriverTestCase):

    def setUp(self):
        super().setUp()
        self.spec = '<is> True'
        self.patch(group_types, 'get_group_type_specs',
                   lambda _type, key: self.spec)

    def group(self):
        return fake_group.fake_group_obj(self.context, id=str(uuid.uuid4()))

    def group_snapshot(self, group):
        return fake_group_snapshot.fake_group_snapshot_obj(
            self.context, id=str(uuid.uuid4()), group_id=group.id)

    def grouped(self, *volumes):
        group = self.group()
        self.driver.create_group(self.context, group)
        self.driver.update_group(self.context, group, add_volumes=volumes)
        return group

    def members(self, group):
        return self.sidecar.groups[group.id]

    def test_membership(self):
        one, two = self.create(), self.create(_name_id=str(uuid.uuid4()))
        group = self.group()
        self.assertEqual({'status': 'available'},
                         self.driver.create_group(self.context, group))
        self.assertEqual((None, None, None), self.driver.update_group(
            self.context, group, add_volumes=[one, two]))
        self.assertEqual({one.id, two._name_id}, self.members(group))
        self.driver.update_group(self.context, group, remove_volumes=[one])
        self.assertEqual({two._name_id}, self.members(group))

    def test_update_of_a_volume_that_is_gone(self):
        with self.assertRaisesRegex(exception.VolumeBackendAPIException,
                                    'no volume'):
            self.grouped(self.volume())

    def test_delete_takes_the_volumes(self):
        one, two = self.create(), self.create()
        group = self.grouped(one, two)
        update, volumes = self.driver.delete_group(
            self.context, group, [one, two])
        self.assertEqual('deleted', update['status'])
        self.assertEqual([{'id': v.id, 'status': 'deleted'}
                          for v in (one, two)], volumes)
        self.assertEqual(({}, {}), (self.sidecar.groups,
                                    self.sidecar.volumes))

    def test_delete_leaves_what_is_in_use(self):
        one, two = self.create(), self.create()
        group = self.grouped(one, two)
        self.sidecar.faults.append(stub.Problem('in_use'))
        update, volumes = self.driver.delete_group(
            self.context, group, [one, two])
        self.assertEqual('error_deleting', update['status'])
        self.assertEqual(['error_deleting', 'deleted'],
                         [v['status'] for v in volumes])
        self.assertIn(group.id, self.sidecar.groups)
        self.assertEqual([one.id], list(self.sidecar.volumes))

    def test_snapshot(self):
        volumes = [self.create(), self.create(_name_id=str(uuid.uuid4()))]
        group = self.grouped(volumes[0])
        taken = self.group_snapshot(group)
        snapshots = [self.snapshot(v) for v in volumes]
        update, updates = self.driver.create_group_snapshot(
            self.context, taken, snapshots)
        self.assertEqual('available', update['status'])
        self.assertEqual([{'id': s.id, 'status': 'available'}
                          for s in snapshots], updates)
        for volume, snapshot in zip(volumes, snapshots):
            self.assertIn(snapshot.id, self.made(volume).snapshots)
        # One request for all: otherwise they would be of several moments.
        path = '/v1/groups/%s/snapshots/%s' % (group.id, taken.id)
        self.assertEqual(1, len(self.sidecar.bodies(path)))
        update, updates = self.driver.delete_group_snapshot(
            self.context, taken, snapshots)
        self.assertEqual(('deleted', ['deleted', 'deleted']), (
            update['status'], [u['status'] for u in updates]))
        for volume in volumes:
            self.assertEqual({}, self.made(volume).snapshots)

    def test_snapshot_that_fails(self):
        volume = self.create()
        taken = self.group_snapshot(self.grouped(volume))
        self.sidecar.faults.append(stub.Problem('unsupported', 'no lock'))
        with self.assertRaisesRegex(exception.VolumeBackendAPIException,
                                    'no lock'):
            self.driver.create_group_snapshot(self.context, taken,
                                              [self.snapshot(volume)])
        update, _ = self.driver.delete_group_snapshot(self.context, taken, [])
        self.assertEqual('deleted', update['status'])

    def test_from_a_snapshot(self):
        source = self.create()
        self.made(source).data += b'a' * 512
        taken = self.group_snapshot(self.grouped(source))
        snapshots = [self.snapshot(source)]
        self.driver.create_group_snapshot(self.context, taken, snapshots)
        group, volume = self.group(), self.volume()
        update, updates = self.driver.create_group_from_src(
            self.context, group, [volume], taken, snapshots)
        self.assertEqual('available', update['status'])
        self.assertEqual([{'id': volume.id, 'status': 'available'}], updates)
        self.assertEqual(b'a' * 512, self.made(volume).content()[:512])
        self.assertEqual({volume.id}, self.members(group))

    def test_from_a_group(self):
        """The clones are of one moment: all are prepared by one request."""
        sources = [self.create(), self.create()]
        source = self.grouped(*sources)
        group, volumes = self.group(), [self.volume(), self.volume()]
        _, updates = self.driver.create_group_from_src(
            self.context, group, volumes, source_group=source,
            source_vols=sources)
        self.assertEqual([v.id for v in volumes], [u['id'] for u in updates])
        self.assertEqual({v.id for v in volumes}, self.members(group))
        for made, of in zip(volumes, sources):
            self.assertEqual(made.id, self.made(of).prepared)
            self.assertEqual(
                {'kind': 'volume', 'id': of.id, 'prepared': True},
                self.made(made).known['source'])
        with self.assertRaises(exception.InvalidInput):
            self.driver.create_group_from_src(self.context, group, volumes)

    def test_other_groups_are_left_to_cinder(self):
        self.spec = None
        group = self.group()
        taken = self.group_snapshot(group)
        for call in (
                lambda d, c: d.create_group(c, group),
                lambda d, c: d.delete_group(c, group, []),
                lambda d, c: d.update_group(c, group),
                lambda d, c: d.create_group_from_src(c, group, []),
                lambda d, c: d.create_group_snapshot(c, taken, []),
                lambda d, c: d.delete_group_snapshot(c, taken, [])):
            with self.assertRaises(NotImplementedError):
                call(self.driver, self.context)
        self.assertEqual([], self.sidecar.requests)

    def test_the_scheduler_hears_of_it(self):
        stats = self.driver.get_volume_stats(refresh=True)
        self.assertIs(True, stats['consistent_group_snapshot_enabled'])


if __name__ == '__main__':
    unittest.main()
