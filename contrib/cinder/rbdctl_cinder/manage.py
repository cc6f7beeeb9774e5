"""Images and snapshots that are there, and what Cinder may do with them."""

from cinder import exception
from cinder.volume import volume_utils
from rbdctl_cinder import errors
from rbdctl_cinder import faults
from rbdctl_cinder import requests
from rbdctl_cinder.client import quote


class Manageable:
    """The part of the driver that takes over what is in the pool."""

    def manage_existing(self, volume, existing_ref):
        """Makes an image of the pool the volume's."""
        name = requests.source_name(existing_ref)
        with _referring('manage image %s' % name, existing_ref):
            self._client.call('POST', self._path(volume) + '/adopt',
                              {'name': name})
        with faults.translated('set up volume %s' % volume.id):
            return self._apply_type(volume, volume.volume_type)

    def manage_existing_get_size(self, volume, existing_ref):
        """The size of an image of the pool in GiB, rounded up."""
        name = requests.source_name(existing_ref)
        found = volume_utils.extract_id_from_volume_name(name)
        if volume_utils.check_already_managed_volume(found):
            raise exception.ManageExistingAlreadyManaged(volume_ref=found)
        with _referring('look at %s' % name, existing_ref):
            return requests.gib(self._client.call(
                'GET', '/v1/manageable/' + quote(name))['size_bytes'])

    def get_manageable_volumes(self, cinder_volumes, marker, limit, offset,
                               sort_keys, sort_dirs):
        """The images of the pool, and whether Cinder may manage them."""
        managed = {requests.image_id(v): v['id'] for v in cinder_volumes}
        with faults.translated('list images'):
            found = [_entry(image, managed.get(image.get('id')))
                     for image in self._client.call(
                         'GET', '/v1/manageable')['volumes']]
        return volume_utils.paginate_entries_list(
            found, marker, limit, offset, sort_keys, sort_dirs)

    def unmanage(self, volume):
        """Leaves the image as it is."""

    def manage_existing_snapshot(self, snapshot, existing_ref):
        """Makes a snapshot of a volume's image one of Cinder's."""
        name = requests.source_name(existing_ref)
        with _referring('manage snapshot %s' % name, existing_ref):
            self._client.call('POST', self._snapshot_path(snapshot) +
                              '/adopt', {'name': name})

    def manage_existing_snapshot_get_size(self, snapshot, existing_ref):
        """The size of a snapshot of a volume's image in GiB, rounded up."""
        name = requests.source_name(existing_ref)
        with _referring('look at %s' % name, existing_ref):
            for found in self._client.call(
                    'GET', self._path(snapshot.volume) +
                    '/manageable-snapshots')['snapshots']:
                if found['name'] == name:
                    return requests.gib(found['size_bytes'])
        raise exception.ManageExistingInvalidReference(
            existing_ref=existing_ref, reason='there is no %s' % name)

    def get_manageable_snapshots(self, cinder_snapshots, marker, limit,
                                 offset, sort_keys, sort_dirs):
        """The snapshots of all volumes, and whether Cinder may manage them."""
        managed = {s['id']: s['id'] for s in cinder_snapshots}
        found = []
        with faults.translated('list snapshots'):
            for volume in self._client.call('GET', '/v1/volumes')['volumes']:
                found += self._snapshots_of(volume, managed)
        return volume_utils.paginate_entries_list(
            found, marker, limit, offset, sort_keys, sort_dirs)

    def _snapshots_of(self, volume, managed):
        try:
            snapshots = self._client.call(
                'GET', '/v1/volumes/%s/manageable-snapshots' %
                quote(volume['id']))['snapshots']
        except errors.ProblemError as e:
            if e.kind == errors.NOT_FOUND:
                return []  # deleted meanwhile
            raise
        return [dict(_entry(s, managed.get(s.get('id'))),
                     source_reference={'source-name': volume['name']})
                for s in snapshots]

    def unmanage_snapshot(self, snapshot):
        """Leaves the snapshot there, for any tool to remove.

        See: cinder/volume/drivers/rbd.py, unmanage_snapshot.
        """
        with faults.translated('unmanage snapshot %s' % snapshot.id):
            self._client.call('POST', self._snapshot_path(snapshot) +
                              '/release')


def _referring(doing, existing_ref):
    """Translates what is wrong with a reference for Cinder."""
    bad = faults.bad_reference(existing_ref)
    return faults.translated(doing, not_found=bad, exists=bad, invalid=bad,
                             in_use=bad)


def _entry(found, cinder_id):
    """What Cinder lists of an image or snapshot.

    See: cinder/interface/volume_driver.py, get_manageable_volumes.
    """
    reason = 'already managed' if cinder_id else found.get('reason') or None
    return {'reference': {'source-name': found['name']},
            'size': requests.gib(found['size_bytes']),
            'safe_to_manage': reason is None,
            'reason_not_safe': reason,
            'cinder_id': cinder_id,
            'extra_info': None}
