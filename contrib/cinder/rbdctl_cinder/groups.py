"""Groups of volumes whose snapshots are taken at one moment."""

from oslo_log import log as logging

from cinder import exception
from cinder.objects import fields
from cinder.volume import volume_utils
from rbdctl_cinder import errors
from rbdctl_cinder import faults
from rbdctl_cinder import requests
from rbdctl_cinder.client import quote

LOG = logging.getLogger(__name__)


class Groups:
    """The part of the driver for consistent groups.

    A group of another type is nothing to the backend: Cinder does with its
    volumes one by one what is to be done, as NotImplementedError tells it.
    See: cinder/volume/manager.py, create_group and the others.
    """

    def create_group(self, context, group):
        """Makes an empty group."""
        _check_consistent(group)
        with faults.translated('create group %s' % group.id):
            self._client.call('PUT', _path(group))
        return {'status': fields.GroupStatus.AVAILABLE}

    def delete_group(self, context, group, volumes):
        """Deletes a group, and its volumes.

        A volume that cannot be deleted stays as it is, and the group with it.
        """
        _check_consistent(group)
        updates = [_attempt(volume, self.delete_volume) for volume in volumes]
        if any(u['status'] != 'deleted' for u in updates):
            return {'status': fields.GroupStatus.ERROR_DELETING}, updates
        with faults.translated('delete group %s' % group.id):
            self._client.call('DELETE', _path(group))
        return {'status': fields.GroupStatus.DELETED}, updates

    def update_group(self, context, group,
                     add_volumes=None, remove_volumes=None):
        """Puts volumes into a group and takes others out."""
        _check_consistent(group)
        with faults.translated('update group %s' % group.id):
            self._client.call('PUT', _path(group))
            self._client.call('POST', _path(group) + '/update', {
                'add': _ids(add_volumes), 'remove': _ids(remove_volumes)})
        return None, None, None

    def create_group_from_src(self, context, group, volumes,
                              group_snapshot=None, snapshots=None,
                              source_group=None, source_vols=None):
        """Makes a group of the snapshots, or of the volumes, of another.

        The volumes are in the order of their sources.
        """
        _check_consistent(group)
        if group_snapshot and snapshots:
            make, sources = self.create_volume_from_snapshot, snapshots
        elif source_group and source_vols:
            make, sources = self._clone_prepared, source_vols
            with faults.translated('copy group %s' % source_group.id):
                self._client.call(
                    'POST', _path(source_group) + '/prepare-clone',
                    {'id': group.id, 'volumes': [
                        {'id': requests.image_id(v),
                         'source_id': requests.image_id(s)}
                        for v, s in zip(volumes, source_vols)]})
        else:
            raise exception.InvalidInput(
                reason='a group is made of a group snapshot, or of a group')
        updates = []
        for volume, source in zip(volumes, sources):
            update = make(volume, source) or {}
            updates.append({'id': volume.id, 'status': 'available', **update})
        self.create_group(context, group)
        self.update_group(context, group, add_volumes=volumes)
        return {'status': fields.GroupStatus.AVAILABLE}, updates

    def _clone_prepared(self, volume, source):
        """Clones the snapshot that was taken with those of the others."""
        return self._clone_volume(volume, source, prepared=True)

    def create_group_snapshot(self, context, group_snapshot, snapshots):
        """Takes snapshots of a group's volumes, all at one moment."""
        _check_consistent(group_snapshot)
        with faults.translated('create group snapshot %s' %
                               group_snapshot.id):
            self._client.call('PUT', _snapshot_path(group_snapshot),
                              _members(snapshots))
        return ({'status': fields.GroupSnapshotStatus.AVAILABLE},
                [{'id': s.id, 'status': fields.SnapshotStatus.AVAILABLE}
                 for s in snapshots])

    def delete_group_snapshot(self, context, group_snapshot, snapshots):
        """Deletes the snapshots of a group; their clones go on working."""
        _check_consistent(group_snapshot)
        if snapshots:
            with faults.translated('delete group snapshot %s' %
                                   group_snapshot.id):
                self._client.call('DELETE', _snapshot_path(group_snapshot),
                                  _members(snapshots))
        return ({'status': fields.GroupSnapshotStatus.DELETED},
                [{'id': s.id, 'status': fields.SnapshotStatus.DELETED}
                 for s in snapshots])


def _check_consistent(group):
    """Leaves a group that is not consistent to Cinder."""
    if not volume_utils.is_group_a_cg_snapshot_type(group):
        raise NotImplementedError()


def _path(group):
    return '/v1/groups/' + quote(group.id)


def _snapshot_path(group_snapshot):
    return '/v1/groups/%s/snapshots/%s' % (quote(group_snapshot.group_id),
                                           quote(group_snapshot.id))


def _ids(volumes):
    return [requests.image_id(v) for v in volumes or ()]


def _members(snapshots):
    return {'snapshots': [
        {'id': s.id, 'volume_id': requests.image_id(s.volume)}
        for s in snapshots]}


def _attempt(volume, delete):
    """Deletes a volume; returns its model update."""
    try:
        delete(volume)
    except (exception.CinderException, errors.ProblemError) as e:
        LOG.error('Volume %(id)s of a group that is deleted stays: %(why)s',
                  {'id': volume.id, 'why': e})
        return {'id': volume.id, 'status': 'error_deleting'}
    return {'id': volume.id, 'status': 'deleted'}
