"""The volume driver: Cinder's calls, each a request to the sidecar."""

from oslo_context import context as oslo_context
from oslo_log import log as logging

from cinder.common import constants
from cinder import exception
from cinder import interface
from cinder import objects
from cinder import utils
from cinder.volume import driver
import rbdctl_cinder
from rbdctl_cinder import client
from rbdctl_cinder import errors
from rbdctl_cinder import faults
from rbdctl_cinder import groups
from rbdctl_cinder import images
from rbdctl_cinder import manage
from rbdctl_cinder import migration
from rbdctl_cinder import options
from rbdctl_cinder import requests
from rbdctl_cinder import stats

LOG = logging.getLogger(__name__)

# For what copies data on the cluster while the sidecar says nothing.
LONG = 24 * 3600  # seconds


@interface.volumedriver
class RBDSidecarDriver(images.ImageData, manage.Manageable, groups.Groups,
                       driver.CloneableImageVD, driver.MigrateVD,
                       driver.ManageableVD, driver.ManageableSnapshotsVD,
                       driver.BaseVD):
    """Volumes in Ceph, by way of an rbdctl sidecar.

    Version history:

    .. code-block:: none

        1.0.0 - Initial driver

    """

    VERSION = rbdctl_cinder.__version__

    SUPPORTS_ACTIVE_ACTIVE = True

    STORAGE_PROTOCOL = constants.CEPH

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.configuration.append_config_values(options.OPTIONS)
        conf = self.configuration
        self._server = {}  # the last statistics that the sidecar had
        self._client = client.Client(conf.rbdctl_socket, conf.rbdctl_timeout,
                                     conf.rbdctl_retry_time, _request_id,
                                     conf.rbd_pool)

    @classmethod
    def get_driver_options(cls):
        return options.OPTIONS + cls._get_oslo_driver_opts(
            'reserved_percentage', 'max_over_subscription_ratio',
            'volume_dd_blocksize')

    # Start, and statistics.

    def do_setup(self, context):
        """Refuses what only Cinder's own RBD driver can do."""
        if self.configuration.safe_get('replication_device'):
            raise exception.InvalidConfigurationValue(
                option='replication_device',
                value='set, but rbdctl does not mirror volumes')
        for name, why in options.without_effect(self.configuration):
            LOG.warning('%(name)s has no effect with this driver: %(why)s.',
                        {'name': name, 'why': why})

    def check_for_setup_error(self):
        """Refuses a sidecar that is not this backend's.

        A sidecar or cluster that does not answer is no error: the backend
        reports that it is down until it does.
        """
        try:
            self._ask_stats()
        except errors.ProblemError as e:
            if e.kind not in (errors.UNAVAILABLE, errors.OUTCOME_UNKNOWN):
                raise faults.backend_error('rbdctl: %s (%s)' % (
                    e, e.kind)) from e
            LOG.warning('The backend is down for now: %s', e)

    def _ask_stats(self, retry=True):
        answer = self._client.call('GET', '/v1/stats', retry=retry)
        if answer.get('fsid'):
            self._server = answer
        return answer

    def _fsid(self):
        if not self._server:
            self._ask_stats()
        return self._server.get('fsid')

    def _update_volume_stats(self):
        try:
            answer = self._ask_stats(retry=False)
        except errors.ProblemError as e:
            LOG.error('The backend is down: %s', e)
            answer = {}
        self._stats = stats.for_scheduler(self, answer,
                                          self._server.get('fsid'))

    # Volumes.

    @staticmethod
    def _path(volume):
        return '/v1/volumes/' + client.quote(requests.image_id(volume))

    def _snapshot_path(self, snapshot):
        return '%s/snapshots/%s' % (self._path(snapshot.volume),
                                    client.quote(snapshot.id))

    def _create(self, volume, source, size=None):
        """Creates the volume and returns the model update."""
        body = {'size_bytes': size or requests.size_bytes(volume),
                'source': source, **requests.of_type(volume.volume_type)}
        if source['kind'] == 'empty':
            body['object_size_bytes'] = requests.object_size(
                self.configuration)
        if not volume.use_quota:  # made for a backup, and deleted after it
            body['temporary'] = True
        self._client.call('PUT', self._path(volume), body)
        if not body.get('multiattach'):
            return {}
        return self._set_multiattach(volume, True)

    def create_volume(self, volume):
        """Creates a blank volume."""
        with faults.translated('create volume %s' % volume.id):
            if volume.encryption_key_id:
                return self._create_encrypted(volume)
            return self._create(volume, {'kind': 'empty'})

    def create_volume_from_snapshot(self, volume, snapshot):
        """Creates a clone of a snapshot."""
        with faults.translated('create volume %s from snapshot %s' %
                               (volume.id, snapshot.id)):
            update = self._create(volume, {
                'kind': 'snapshot', 'id': snapshot.id,
                'volume_id': requests.image_id(snapshot.volume)})
            # Temporary volumes go before a flatten would end.
            if (self.configuration.rbd_flatten_volume_from_snapshot and
                    volume.use_quota):
                self._client.call('POST', self._path(volume) + '/flatten')
            return update

    def create_cloned_volume(self, volume, src_vref):
        """Creates a clone of a volume."""
        return self._clone_volume(volume, src_vref)

    def _clone_volume(self, volume, src_vref, **how):
        with faults.translated('create volume %s from volume %s' %
                               (volume.id, src_vref.id)):
            return self._create(volume, {
                'kind': 'volume', 'id': requests.image_id(src_vref), **how})

    def delete_volume(self, volume):
        """Deletes a volume; one that is in use stays as it is.

        A guest that is gone is seen for some seconds more.
        See: cinder/volume/drivers/rbd.py, delete_volume.
        """
        conf = self.configuration

        @utils.retry(exception.VolumeIsBusy, conf.rados_connection_interval,
                     max(1, conf.rados_connection_retries))
        def delete():
            with faults.translated('delete volume %s' % volume.id,
                                   in_use=faults.volume_is_busy(volume)):
                self._client.call('DELETE', self._path(volume))
        delete()

    def extend_volume(self, volume, new_size):
        """Extends a volume to new_size GiB; it may be in use."""
        with faults.translated('extend volume %s' % volume.id):
            self._client.call('POST', self._path(volume) + '/extend',
                              {'size_bytes': requests.gib_bytes(new_size)})

    def retype(self, context, volume, new_type, diff, host):
        """Gives a volume what another type of this backend asks for."""
        if requests.wants_replication(new_type):
            return False, None
        with faults.translated('retype volume %s' % volume.id):
            return True, self._apply_type(volume, new_type,
                                          volume.volume_type, diff)

    def _apply_type(self, volume, new_type, old_type=None, diff=None):
        """Sets what a type asks for; returns the model update."""
        requests.check_type(new_type)
        limits = requests.qos(new_type)
        if limits or (diff and diff.get('qos_specs')):
            self._client.call('PUT', self._path(volume) + '/qos',
                              {'qos': limits})
        wanted = requests.wants_multiattach(new_type)
        if wanted == requests.wants_multiattach(old_type):
            return {}
        return self._set_multiattach(volume, wanted)

    def _set_multiattach(self, volume, wanted):
        """Begins or ends multiattach, or finds it so."""
        answer = self._client.call(
            'PUT', self._path(volume) + '/multiattach',
            requests.multiattach(volume, wanted))
        if not wanted:
            return {'provider_location': None}
        return requests.multiattach_update(answer)

    # Snapshots.

    def create_snapshot(self, snapshot):
        """Takes a snapshot of a volume."""
        with faults.translated('create snapshot %s' % snapshot.id):
            self._client.call('PUT', self._snapshot_path(snapshot))

    def delete_snapshot(self, snapshot):
        """Deletes a snapshot; its clones go on working."""
        with faults.translated('delete snapshot %s' % snapshot.id,
                               in_use=faults.snapshot_is_busy(snapshot)):
            self._client.call('DELETE', self._snapshot_path(snapshot))

    def snapshot_revert_use_temp_snapshot(self):
        return False

    def revert_to_snapshot(self, context, volume, snapshot):
        """Gives a volume the content of its snapshot."""
        with faults.translated('revert volume %s to snapshot %s' %
                               (volume.id, snapshot.id)):
            self._client.call('POST', self._path(volume) + '/revert',
                              {'snapshot_id': snapshot.id}, timeout=LONG)

    # Connections.

    def ensure_export(self, context, volume):
        """Nothing is exported: hypervisors speak to Ceph."""

    def create_export(self, context, volume, connector):
        """Nothing is exported: hypervisors speak to Ceph."""

    def remove_export(self, context, volume):
        """Nothing is exported: hypervisors speak to Ceph."""

    def initialize_connection(self, volume, connector):
        """How a hypervisor reaches the volume; there is no key in it."""
        with faults.translated('connect volume %s' % volume.id):
            data = self._client.call('GET', self._path(volume) + '/connection')
        data['volume_id'] = volume.id
        conf = self.configuration
        for key, value in (('cluster_name', conf.rbd_cluster_name),
                           ('auth_username', conf.rbd_user),
                           ('secret_uuid', conf.rbd_secret_uuid)):
            if value:
                data[key] = value
        return {'driver_volume_type': 'rbd', 'data': data}

    def terminate_connection(self, volume, connector, **kwargs):
        """Nothing is kept of a connection."""

    # Migration, and backups.

    def migrate_volume(self, context, volume, host):
        """Moves a volume to another backend of the same cluster.

        (False, None) leaves all else to Cinder, which copies the data.
        """
        with faults.translated('migrate volume %s' % volume.id):
            return migration.migrate(self, volume, host), None

    def update_migrated_volume(self, ctxt, volume, new_volume,
                               original_volume_status):
        """Gives the image of a migrated volume the volume's name.

        One that is in use keeps its name, and the volume remembers that; so
        does one whose name cannot be had. Of any other failure it is not known
        which name it has: Cinder goes on with the volume that it migrated.
        See: cinder/volume/manager.py, _clean_temporary_volume.
        """
        kept = {'_name_id': requests.image_id(new_volume),
                'provider_location': new_volume['provider_location']}
        if original_volume_status == 'in-use':
            return kept
        try:
            self._client.call('POST', self._path(new_volume) + '/rename',
                              {'id': volume.id})
        except errors.ProblemError as e:
            if e.kind not in (errors.NOT_FOUND, errors.EXISTS):
                raise faults.backend_error(
                    'rename volume %s to %s: %s (%s)' % (
                        new_volume.id, volume.id, e, e.kind)) from e
            LOG.error('Volume %(id)s keeps the image of %(new)s: %(why)s',
                      {'id': volume.id, 'new': kept['_name_id'], 'why': e})
            return kept
        return {'_name_id': None,
                'provider_location': new_volume['provider_location']}

    def get_backup_device(self, context, backup):
        """What is to be backed up: the volume, or a temporary clone.

        Cinder's Ceph backup driver takes differences between snapshots of the
        volume itself. See: cinder/volume/drivers/rbd.py, get_backup_device.
        """
        if 'backup.drivers.ceph' in backup.service and not backup.snapshot_id:
            return objects.Volume.get_by_id(context, backup.volume_id), False
        return super().get_backup_device(context, backup)


def _request_id():
    """The id of the request that this thread works on."""
    context = oslo_context.get_current()
    return context.request_id if context else None
