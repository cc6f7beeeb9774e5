"""What the tests of the driver share: a sidecar, a configuration, volumes."""

import os
import tempfile
import unittest
from unittest import mock
import uuid

from oslo_config import cfg

from cinder import context
from cinder import objects
from cinder.tests.unit import fake_snapshot
from cinder.tests.unit import fake_volume
from cinder.volume import configuration
from cinder.volume import driver as cinder_driver

objects.register_all()

from rbdctl_cinder import client  # noqa: E402
from rbdctl_cinder import driver  # noqa: E402
from tests import stub  # noqa: E402

GIB = stub.GIB


class DriverTestCase(unittest.TestCase):

    def setUp(self):
        self.sidecar = stub.Sidecar()
        self.addCleanup(self.sidecar.__exit__)
        self.sidecar.__enter__()
        self.patch(client, 'FIRST_PAUSE', 0.01)
        self.dir = tempfile.TemporaryDirectory()
        self.addCleanup(self.dir.cleanup)
        cfg.CONF([], project='cinder', default_config_files=[])
        self.addCleanup(cfg.CONF.reset)
        self.context = context.RequestContext('u', 'p', is_admin=True)
        self.driver = self.new_driver()

    def patch(self, target, name, value):
        patcher = mock.patch.object(target, name, value)
        patcher.start()
        self.addCleanup(patcher.stop)

    def set(self, name, value, group='ceph'):
        cfg.CONF.set_override(name, value, group=group)
        self.addCleanup(cfg.CONF.clear_override, name, group=group)

    def new_driver(self, **settings):
        conf = configuration.Configuration(cinder_driver.volume_opts,
                                           config_group='ceph')
        conf.append_config_values(driver.options.upstream.RBD_OPTS)
        conf.append_config_values(driver.options.OPTIONS)
        settings = {'rbdctl_socket': self.sidecar.socket,
                    'rbdctl_timeout': 60, 'rbdctl_retry_time': 0,
                    'rbd_pool': 'volumes', 'volume_backend_name': 'ceph',
                    'rados_connection_retries': 1,
                    **settings}
        for name, value in settings.items():
            self.set(name, value)
        self.set('image_conversion_dir', self.dir.name, None)
        return driver.RBDSidecarDriver(
            configuration=conf, db=None, host='host@ceph', cluster_name=None,
            is_vol_db_empty=True, active_backend_id=None)

    def volume(self, volume_type=None, **known):
        known.setdefault('id', str(uuid.uuid4()))
        known.setdefault('size', 1)
        known.setdefault('use_quota', True)
        made = fake_volume.fake_volume_obj(self.context, **known)
        made.volume_type = volume_type
        made.glance_metadata = {}
        return made

    def snapshot(self, volume):
        made = fake_snapshot.fake_snapshot_obj(
            self.context, id=str(uuid.uuid4()), volume_id=volume.id,
            volume_size=volume.size)
        made.volume = volume
        return made

    def volume_type(self, qos=None, consumer='back-end', **extra_specs):
        made = objects.VolumeType(
            self.context, id=str(uuid.uuid4()), name='t',
            extra_specs=extra_specs, qos_specs_id=None)
        if qos is not None:
            made.qos_specs_id = str(uuid.uuid4())
            found = {'consumer': consumer, 'specs': qos}
            self.patch(driver.requests.qos_specs, 'get_qos_specs',
                       lambda _context, specs_id: found)
        return made

    def made(self, volume):
        """The sidecar's volume."""
        return self.sidecar.volumes[volume.name_id]

    def create(self, **known):
        volume = self.volume(**known)
        self.driver.create_volume(volume)
        return volume

    def left_files(self):
        return os.listdir(self.dir.name)
