"""Moving volumes to other backends."""

from cinder import exception
from rbdctl_cinder import jobs
from tests import base
from tests import stub


class MigrationTest(base.DriverTestCase):

    def setUp(self):
        super().setUp()
        self.patch(jobs, 'PAUSE', 0.001)
        self.patch(jobs, 'LONGEST_PAUSE', 0.001)

    def capabilities(self, **other):
        known = {'storage_protocol': 'ceph',
                 'location_info': 'ceph:/etc/ceph/ceph.conf:%s:cinder:fast'
                 % stub.FSID}
        return {**known, **other}

    def migrate(self, volume, **other):
        return self.driver.migrate_volume(
            self.context, volume,
            {'host': 'other@ceph', 'capabilities': self.capabilities(**other)})

    def asked(self):
        return [p for m, p in self.sidecar.made('POST')
                if p.endswith('/migrate')]

    def test_to_another_pool(self):
        volume = self.create(status='available')
        self.assertEqual((True, None), self.migrate(volume))
        self.assertEqual([volume.id], list(self.sidecar.elsewhere['fast']))
        self.assertEqual({}, self.sidecar.volumes)
        self.assertEqual(['/v1/volumes/%s/migrate' % volume.id], self.asked())

    def test_it_is_there_already(self):
        volume = self.create(status='available')
        self.migrate(volume)
        self.assertEqual((True, None), self.migrate(volume))

    def test_what_is_left_to_cinder(self):
        volume = self.create(status='available')
        for name, other in (
                ('protocol', {'storage_protocol': 'iSCSI'}),
                ('no location', {'location_info': None}),
                ('location', {'location_info': 'a:b:c'}),
                ('cluster', {'location_info': 'ceph::other:cinder:fast'}),
                ('no cluster', {'location_info': 'ceph:::cinder:fast'})):
            with self.subTest(name):
                self.assertEqual((False, None), self.migrate(volume, **other))
        for known in ({'status': 'in-use'},
                      {'status': 'retyping', 'attach_status': 'attached'}):
            self.assertEqual((False, None), self.migrate(
                self.create(**known)))
        self.assertEqual([], self.asked())

    def test_the_same_pool(self):
        here = self.capabilities()['location_info'].replace('fast', 'volumes')
        for status in ('available', 'in-use'):
            self.assertEqual((True, None), self.migrate(
                self.create(status=status), location_info=here))
        self.assertEqual([], self.asked())

    def test_a_refusal_is_left_to_cinder(self):
        for kind in ('in_use', 'exists', 'denied', 'not_found',
                     'unsupported', 'invalid'):
            with self.subTest(kind):
                volume = self.create(status='available')
                self.driver._fsid()
                self.sidecar.faults = [stub.Problem(kind)]
                self.assertEqual((False, None), self.migrate(volume))

    def test_a_job_that_fails(self):
        for state in ('failed', 'cancelled'):
            with self.subTest(state):
                self.sidecar.states = ['queued', 'running', state]
                volume = self.create(status='available')
                with self.assertRaisesRegex(exception.VolumeMigrationFailed,
                                            state):
                    self.migrate(volume)
                self.assertIn(volume.id, self.sidecar.volumes)

    def test_a_sidecar_that_goes_away_meanwhile(self):
        self.driver._client.retry_time = 30
        volume = self.create(status='available')
        self.driver._fsid()
        self.sidecar.states = ['running', 'done']
        self.sidecar.faults = [
            stub.Drop(), stub.Problem('unavailable'), None,
            stub.Drop(), stub.Problem('unavailable')]
        self.assertEqual((True, None), self.migrate(volume))
        self.assertEqual(3, len(self.asked()))

    def test_a_job_that_ended_unseen(self):
        volume = self.create(status='available')
        self.driver._fsid()

        def end(_handler, _body):
            self.sidecar.elsewhere['fast'] = {
                volume.id: self.sidecar.volumes.pop(volume.id)}
            raise stub.Problem('not_found')
        self.sidecar.faults = [None, end]
        self.assertEqual((True, None), self.migrate(volume))

    def test_a_job_that_does_not_begin(self):
        volume = self.create(status='available')
        self.driver._fsid()
        self.driver._client.retry_time = 0.1
        for first, says in ((None, 'at its quota'),
                            (stub.Drop(), 'without response'),
                            (stub.Problem('outcome_unknown', 'cut'), 'cut')):
            self.sidecar.faults = [stub.Problem(
                'unavailable', 'at its quota')] * 10000
            if first:
                self.sidecar.faults.insert(0, first)
            with self.subTest(says), self.assertRaisesRegex(
                    exception.VolumeMigrationFailed, says):
                self.migrate(volume)
        self.assertGreater(len(self.asked()), 6)

    def test_no_sidecar(self):
        volume = self.create(status='available')
        self.driver._fsid()
        self.driver._client.path += '.gone'
        with self.assertRaises(exception.VolumeMigrationFailed):
            self.migrate(volume)
