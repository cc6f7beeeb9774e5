"""Moving a volume to another pool of the cluster: a job of the sidecar's."""

from oslo_log import log as logging

from cinder import exception
from cinder.objects import fields
from rbdctl_cinder import errors
from rbdctl_cinder import jobs
from rbdctl_cinder import stats

LOG = logging.getLogger(__name__)

# What another way may do: Cinder copies the data from host to host.
_OTHERWISE = (errors.IN_USE, errors.EXISTS, errors.DENIED, errors.NOT_FOUND,
              errors.UNSUPPORTED, errors.INVALID)


def migrate(driver, volume, host):
    """Moves the volume to the backend of ``host``; False if Cinder is to.

    Raises VolumeMigrationFailed when the volume stays where it is.
    See: cinder/volume/drivers/rbd.py, migrate_volume.
    """
    capabilities = host.get('capabilities') or {}
    pool = stats.pool_of(driver, capabilities)
    if pool is None:
        return False
    if pool == driver.configuration.rbd_pool:
        return True  # there is nothing to be moved
    # One that is retyped may be attached, to a guest that is shut off even:
    # Nova would go on looking for it where it was.
    if volume.status not in ('available', 'retyping', 'maintenance') or \
            volume.attach_status == fields.VolumeAttachStatus.ATTACHED:
        LOG.info('Volume %s is %s, and %s: it is left to Cinder to move it.',
                 volume.id, volume.status, volume.attach_status)
        return False
    try:
        job = jobs.done(driver._client, driver._path(volume) + '/migrate',
                        {'pool': pool})
    except errors.ProblemError as e:
        if e.kind not in _OTHERWISE:
            raise exception.VolumeMigrationFailed(reason=str(e)) from e
        LOG.warning('Volume %(id)s cannot be moved to pool %(pool)s by the '
                    'sidecar: %(why)s. It is left to Cinder.',
                    {'id': volume.id, 'pool': pool, 'why': e})
        return False
    if job['state'] != 'done':
        raise exception.VolumeMigrationFailed(reason='job %s %s: %s' % (
            job['id'], job['state'], job.get('error') or 'on request'))
    return True
