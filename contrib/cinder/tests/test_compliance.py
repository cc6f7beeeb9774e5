"""Cinder's own check of drivers, and a comparison with its RBD driver."""

import inspect
import os
import subprocess
import sys
import unittest

import cinder
from cinder.interface import util
from cinder.interface import volume_driver
from cinder.volume.drivers import rbd
from tests import base
from rbdctl_cinder import driver

# What Cinder calls only of drivers that mirror volumes.
_REPLICATION = {'failover', 'failover_completed', 'failover_host'}

# What only that driver's own code calls.
_INTERNAL = {'RBDProxy', 'delete_rbd_image_qos_keys', 'get_rbd_image_qos',
             'update_rbd_image_qos'}


class ComplianceTest(unittest.TestCase):

    def test_cinders_own(self):
        """Runs cinder/tests/compliance with this driver among the others."""
        script = (
            'import sys, unittest\n'
            'from rbdctl_cinder import driver\n'
            'from cinder.tests.compliance import test_volume_drivers as t\n'
            'assert driver.RBDSidecarDriver in [d.cls for d in '
            't.VOLUME_DRIVERS]\n'
            'found = unittest.defaultTestLoader.loadTestsFromModule(t)\n'
            'done = unittest.TextTestRunner().run(found)\n'
            'sys.exit(not (done.wasSuccessful() and done.testsRun > 1))\n')
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        done = subprocess.run(
            [sys.executable, '-c', script],
            env=dict(os.environ, PYTHONPATH=here),
            # Cinder looks for its drivers from the current directory.
            cwd=os.path.dirname(os.path.dirname(cinder.__file__)),
            text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(0, done.returncode, done.stdout)

    def test_what_it_is(self):
        self.assertTrue(issubclass(driver.RBDSidecarDriver,
                                   volume_driver.VolumeDriverCore))
        info = util.DriverInfo(driver.RBDSidecarDriver)
        self.assertEqual(
            ('rbdctl_cinder.driver.RBDSidecarDriver', True),
            (info.class_fqn, info.supported))
        self.assertFalse(driver.RBDSidecarDriver.supports_replication_feature(
            'v2.1'))

    def test_all_that_the_upstream_driver_has(self):
        for name, method in inspect.getmembers(rbd.RBDDriver,
                                               inspect.isfunction):
            # Only what it defines itself: the rest is inherited by both.
            if name.startswith('_') or name not in vars(rbd.RBDDriver) or \
                    name in _INTERNAL | _REPLICATION:
                continue
            with self.subTest(name):
                ours = getattr(driver.RBDSidecarDriver, name, None)
                self.assertIsNotNone(ours)
                self.assertNotEqual(
                    'cinder.volume.driver', ours.__module__)
                want = list(inspect.signature(method).parameters)
                self.assertEqual(
                    want, list(inspect.signature(ours).parameters)[
                        :len(want)])


class OptionsTest(base.DriverTestCase):

    def test_beside_the_upstream_driver(self):
        """Both drivers in one cinder-volume: no option is defined twice."""
        rbd.RBDDriver(configuration=self.driver.configuration)
        self.new_driver()

    def test_options_of_either(self):
        names = {o.dest for o in driver.RBDSidecarDriver.get_driver_options()}
        self.assertLessEqual(
            {'rbdctl_socket', 'rbdctl_timeout', 'rbd_pool', 'rbd_user',
             'rbd_ceph_conf', 'rbd_secret_uuid', 'rbd_cluster_name',
             'reserved_percentage', 'max_over_subscription_ratio'}, names)


if __name__ == '__main__':
    unittest.main()
