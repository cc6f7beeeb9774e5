"""What the sidecar's client raises.

Every failure is a ProblemError with one of eight kinds, which say what a
caller can do about it. They come from the sidecar as they are; the client
itself uses ``unavailable``, ``denied`` and ``outcome_unknown`` for what goes
wrong on the way there.
"""

INVALID = 'invalid'  # fix the request
NOT_FOUND = 'not_found'  # what is asked for, or what it is in
EXISTS = 'exists'  # there, and otherwise than asked for
IN_USE = 'in_use'  # somebody has it open; try later
DENIED = 'denied'  # wrong key, caps or user; never retry
UNAVAILABLE = 'unavailable'  # no answer from the sidecar or the cluster; retry
UNSUPPORTED = 'unsupported'  # take another way
OUTCOME_UNKNOWN = 'outcome_unknown'  # perhaps done; ask the same again

KINDS = frozenset((INVALID, NOT_FOUND, EXISTS, IN_USE, DENIED, UNAVAILABLE,
                   UNSUPPORTED, OUTCOME_UNKNOWN))

# For answers without a kind, such as those of a proxy or of Go's HTTP server.
_KIND_OF_STATUS = {400: INVALID, 401: DENIED, 403: DENIED, 404: NOT_FOUND,
                   405: UNSUPPORTED, 408: UNAVAILABLE, 409: EXISTS,
                   413: INVALID, 415: INVALID, 422: INVALID, 429: UNAVAILABLE,
                   501: UNSUPPORTED, 502: UNAVAILABLE, 503: UNAVAILABLE,
                   504: OUTCOME_UNKNOWN}


class ProblemError(Exception):
    """A request that failed.

    ``kind`` is one of KINDS, or ``failed`` for what fits none. ``status`` is
    the HTTP status, None when there was no answer. ``sent`` is False when the
    sidecar cannot have seen the request. str() is one line.
    """

    def __init__(self, kind, detail, status=None, sent=True, request_id=None):
        self.kind = kind
        self.detail = ' '.join(str(detail).split())
        self.status = status
        self.sent = sent
        self.request_id = request_id
        super().__init__(self.detail)

    @classmethod
    def from_answer(cls, status, document):
        """The error of an answer: its problem document, or just its status.

        ``document`` is what the body decoded to; anything that is no problem
        document counts as none.
        """
        if not isinstance(document, dict):
            document = {}
        kind = document.get('kind')
        if kind not in KINDS:
            kind = _KIND_OF_STATUS.get(status, 'failed')
        detail = document.get('detail') or document.get('title') or (
            'the sidecar answered with status %d' % status)
        return cls(kind, _with_fields(detail, document.get('errors')),
                   status=status, request_id=document.get('request_id'))


def _with_fields(detail, fields):
    """Appends what a problem document says of single fields."""
    if not isinstance(fields, list):
        return detail
    said = []
    for field in fields:
        if isinstance(field, dict) and field.get('message'):
            where = field.get('location')
            said.append('%s: %s' % (where, field['message']) if where
                        else field['message'])
    return '%s: %s' % (detail, '; '.join(said)) if said else detail
