"""Moving a volume to another pool of the cluster: a job of the sidecar's."""

import time

from oslo_log import log as logging

from cinder import exception
from cinder.objects import fields
from rbdctl_cinder import errors
from rbdctl_cinder import stats

LOG = logging.getLogger(__name__)

PAUSE = 1.0  # seconds between two looks at the job
LONGEST_PAUSE = 15.0  # while the sidecar does not answer

_OVER = ('done', 'failed', 'cancelled')

# The answer may come another time, and the job may be under way.
_AGAIN = (errors.UNAVAILABLE, errors.OUTCOME_UNKNOWN)

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
    path = driver._path(volume)
    try:
        job = _start(driver._client, path, pool)
    except errors.ProblemError as e:
        if e.kind not in _OTHERWISE:
            raise exception.VolumeMigrationFailed(reason=str(e)) from e
        LOG.warning('Volume %(id)s cannot be moved to pool %(pool)s by the '
                    'sidecar: %(why)s. It is left to Cinder.',
                    {'id': volume.id, 'pool': pool, 'why': e})
        return False
    job = _followed(driver._client, path, pool, job)
    if job['state'] != 'done':
        raise exception.VolumeMigrationFailed(reason='job %s %s: %s' % (
            job['id'], job['state'], job.get('error') or 'on request'))
    return True


def _start(client, path, pool):
    """Asks for the job. A request that may have come through is repeated:

    to give up would leave a volume that moves behind Cinder's back.
    """
    sent = False
    pause = PAUSE
    deadline = time.monotonic() + client.retry_time
    while True:
        try:
            return client.call('POST', path + '/migrate', {'pool': pool},
                               retry=False)
        except errors.ProblemError as e:
            sent = sent or e.sent
            late = not sent and time.monotonic() + pause > deadline
            if e.kind not in _AGAIN or late:
                raise
            LOG.warning('It is not known whether the volume moves: %s', e)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _followed(client, path, pool, job):
    """The job as it ended, however long that takes."""
    pause = PAUSE
    while job['state'] not in _OVER:
        time.sleep(pause)
        try:
            job = client.call('GET', '/v1/jobs/' + job['id'], retry=False)
            pause = PAUSE
        except errors.ProblemError as e:
            if e.kind == errors.NOT_FOUND:  # it ended long ago
                job = _start(client, path, pool)
                continue
            if e.kind not in _AGAIN:
                raise exception.VolumeMigrationFailed(reason=str(e)) from e
            LOG.warning('The job that moves the volume goes on unseen: %s', e)
            pause = min(2 * pause, LONGEST_PAUSE)
    return job
