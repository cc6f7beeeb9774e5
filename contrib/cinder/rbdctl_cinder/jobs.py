"""Jobs of the sidecar's: long work that goes on whoever waits for it."""

import time

from oslo_log import log as logging

from rbdctl_cinder import errors

LOG = logging.getLogger(__name__)

PAUSE = 1.0  # seconds between two looks at the job
LONGEST_PAUSE = 15.0  # while the sidecar does not answer

_OVER = ('done', 'failed', 'cancelled')

# The answer may come another time, and the job may be under way.
_AGAIN = (errors.UNAVAILABLE, errors.OUTCOME_UNKNOWN)


def done(client, path, body):
    """Asks for a job by a POST, and returns it as it ended.

    That takes as long as it takes. Raises ProblemError when it is refused.
    """
    job = _start(client, path, body)
    pause = PAUSE
    while job['state'] not in _OVER:
        time.sleep(pause)
        try:
            job = client.call('GET', '/v1/jobs/' + job['id'], retry=False)
            pause = PAUSE
        except errors.ProblemError as e:
            if e.kind == errors.NOT_FOUND:  # it ended long ago
                job = _start(client, path, body)
                continue
            if e.kind not in _AGAIN:
                raise
            LOG.warning('Job %(id)s goes on unseen: %(why)s',
                        {'id': job['id'], 'why': e})
            pause = min(2 * pause, LONGEST_PAUSE)
    return job


def _start(client, path, body):
    """Asks for the job, as long as the client asks for anything.

    Raises ProblemError: OUTCOME_UNKNOWN if the job may be under way, because
    one of the requests may have come through.
    """
    unknown = None
    pause = PAUSE
    deadline = time.monotonic() + client.retry_time
    while True:
        try:
            return client.call('POST', path, body, retry=False)
        except errors.ProblemError as e:
            if e.kind not in _AGAIN:
                raise
            if e.kind == errors.OUTCOME_UNKNOWN:
                unknown = e
            if time.monotonic() + pause > deadline:
                raise unknown or e
            LOG.warning('The job is asked for again: %s', e)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)
