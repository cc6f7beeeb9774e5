"""HTTP to ``rbdctl serve`` over its UNIX socket.

One connection per request: a UNIX socket costs microseconds, and a connection
that is never reused is never found stale. The standard library's sockets are
green under eventlet and plain under native threads; nothing here knows which.

A client is safe for any number of threads. It never logs.
"""

import http.client
import json
import os
import socket
import time
import urllib.parse

from rbdctl_cinder import errors

CHUNK = 1 << 20  # bytes of image data handled at a time
FIRST_PAUSE = 0.25  # seconds before the second try; doubles
LONGEST_PAUSE = 4.0
LARGEST_ANSWER = 64 << 20  # bytes of JSON: lists of a hundred thousand images

# The cure of these is to make the same request again.
_AGAIN = (errors.UNAVAILABLE, errors.OUTCOME_UNKNOWN)


class _Connection(http.client.HTTPConnection):
    """An HTTP connection over a UNIX socket."""

    def __init__(self, path, timeout):
        super().__init__('localhost', timeout=timeout, blocksize=CHUNK)
        self._path = path

    def connect(self):
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.settimeout(self.timeout)
            sock.connect(self._path)
        except BaseException:
            sock.close()
            raise
        self.sock = sock


class Client:
    """Requests to one sidecar.

    ``timeout`` is how many seconds the sidecar may stay silent before a
    request is given up; ``retry_time`` how many seconds long a request that it
    could not take is made again. ``request_id`` is called for each request and
    returns OpenStack's id of it, or None. A sidecar that does not serve
    ``pool``, if there is one, refuses everything.
    """

    def __init__(self, path, timeout=300, retry_time=30, request_id=None,
                 pool=None):
        self.path = path
        self.pool = pool
        self.timeout = timeout
        self.retry_time = retry_time
        self._request_id = request_id or (lambda: None)

    def call(self, method, path, body=None, timeout=None, retry=True):
        """Makes a request and returns the decoded answer, None if it is empty.

        Every request of the sidecar's API may be made twice: an id is its
        idempotency key. So one that did not get through is made again, for up
        to retry_time, unless ``retry`` is False. A request that ran into
        ``timeout`` is not: the time is spent. Raises ProblemError.
        """
        deadline = time.monotonic() + (self.retry_time if retry else 0)
        pause = FIRST_PAUSE
        while True:
            try:
                return self._call(method, path, body, timeout)
            except errors.ProblemError as e:
                late = time.monotonic() + pause > deadline
                if late or e.kind not in _AGAIN or _ran_out_of_time(e):
                    raise
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _call(self, method, path, body, timeout):
        payload = None if body is None else json.dumps(body).encode()
        kind = None if body is None else 'application/json'
        conn, response = self._send(method, path, payload, timeout,
                                    self._headers(kind))
        try:
            return self._answer(method, path, response)
        finally:
            conn.close()

    def download(self, path):
        """Opens the content at ``path``; returns a Download, to be closed."""
        conn, response = self._send('GET', path, None, None, self._headers())
        if response.status >= 300:
            try:
                self._answer('GET', path, response)
            finally:
                conn.close()
        return Download(conn, response, 'GET ' + path)

    def upload(self, path, chunks, length):
        """Sends ``chunks``, ``length`` bytes in all, and returns the answer.

        It is never made again by itself: the chunks are gone. What iterating
        over them raises ends the request, is raised as it is, and leaves the
        sidecar with a body that it knows to be cut off.
        """
        headers = self._headers('application/octet-stream')
        headers['Content-Length'] = str(length)
        conn, response = self._send('PUT', path, _Sending(chunks, length),
                                    None, headers)
        try:
            return self._answer('PUT', path, response)
        finally:
            conn.close()

    def _headers(self, content_type=None):
        headers = {'Accept': 'application/json, application/problem+json',
                   'Connection': 'close'}
        if content_type:
            headers['Content-Type'] = content_type
        if self.pool:
            headers['Rbdctl-Pool'] = self.pool.encode()
        request_id = self._request_id()
        if request_id:
            headers['X-Openstack-Request-Id'] = request_id
        return headers

    def _send(self, method, path, body, timeout, headers):
        """Makes the request; returns the connection and the open response."""
        what = '%s %s' % (method, path)
        conn = _Connection(self.path, timeout or self.timeout)
        try:
            conn.connect()
        except OSError as e:
            raise _no_connection(self.path, e) from e
        try:
            try:
                conn.request(method, path, body=body, headers=headers)
            except (BrokenPipeError, ConnectionResetError) as e:
                if isinstance(body, _Sending) and body.failed:
                    raise
                # It closed before the end of the body: it has answered why,
                # or it has gone, and then there is no answer to read.
                return conn, self._early(conn, e)
            return conn, conn.getresponse()
        except (OSError, http.client.HTTPException) as e:
            conn.close()
            if isinstance(body, _Sending) and body.failed:
                raise
            raise _broken(method, what, e) from e
        except BaseException:
            conn.close()
            raise

    @staticmethod
    def _early(conn, cause):
        try:
            return conn.getresponse()
        except (OSError, http.client.HTTPException):
            raise cause

    def _answer(self, method, path, response):
        """The answer's document; raises the problem that it describes."""
        what = '%s %s' % (method, path)
        try:
            text = response.read(LARGEST_ANSWER + 1)
        except (OSError, http.client.HTTPException) as e:
            raise _broken(method, what, e) from e
        if len(text) > LARGEST_ANSWER:
            raise errors.ProblemError(
                'failed', '%s: the answer has more than %d bytes' %
                (what, LARGEST_ANSWER), status=response.status)
        if response.length:  # read() does not tell of an early end
            raise _broken(method, what, EOFError('the answer was cut off'))
        document = _decoded(text)
        if response.status >= 300:
            raise errors.ProblemError.from_answer(response.status, document)
        if text and document is None:
            raise errors.ProblemError(
                'failed', '%s: the answer is no JSON' % what,
                status=response.status)
        return document


class _Sending:
    """Chunks on their way; knows whether it was they that failed."""

    def __init__(self, chunks, length):
        self._chunks = iter(chunks)
        self._left = length
        self.failed = False

    def __iter__(self):
        return self

    def __next__(self):
        # Sends to a socket with room do not yield to other green threads.
        time.sleep(0)
        try:
            chunk = next(self._chunks, None)
        except BaseException:
            self.failed = True
            raise
        self._left -= len(chunk or b'')
        if self._left < 0 or (chunk is None and self._left):
            self.failed = True
            raise errors.ProblemError(
                errors.INVALID, 'the content is %d bytes too %s' %
                (abs(self._left), 'long' if self._left < 0 else 'short'))
        if chunk is None:
            raise StopIteration
        return chunk


class Download:
    """Content on its way: a file to read once, to its end.

    ``length`` is its size in bytes, None if the sidecar did not say. An early
    end is a ProblemError, never a short file. So is a second pass over it:
    glanceclient begins each by asking for its truth, and Cinder has failed
    uploads made again with the same, half read file.
    See: glanceclient/common/http.py, _chunk_body.
    """

    def __init__(self, conn, response, what):
        self._conn = conn
        self._response = response
        self._what = what
        self._begun = False
        self.length = response.length

    def __bool__(self):
        if self._begun:
            raise errors.ProblemError('failed', '%s: it can be read once, and '
                                      'the upload of it broke off: try again' %
                                      self._what)
        return True

    def read(self, size=CHUNK):
        """Up to ``size`` bytes; none at the end."""
        if size is None or size < 0:
            return b''.join(self)
        if not size:
            return b''
        self._begun = True
        try:
            data = self._response.read(size)
        except (OSError, http.client.HTTPException) as e:
            raise _broken('GET', self._what, e) from e
        if not data and self._response.length:
            raise _broken('GET', self._what, EOFError(
                'it ended %d bytes early' % self._response.length))
        return data

    def __iter__(self):
        while True:
            data = self.read(CHUNK)
            if not data:
                return
            yield data

    def close(self):
        # The socket is the response's alone, as it says `Connection: close`.
        self._response.close()
        self._conn.close()

    def __enter__(self):
        return self

    def __exit__(self, *_exc):
        self.close()


def quote(text):
    """``text`` as one segment of a path."""
    return urllib.parse.quote(str(text), safe='')


def _decoded(text):
    try:
        return json.loads(text) if text else None
    except ValueError:
        return None


def _ran_out_of_time(e):
    return isinstance(e.__cause__, socket.timeout)


def _no_connection(path, e):
    # Green sockets put the errno's name into strerror.
    why = os.strerror(e.errno) if e.errno else str(e) or type(e).__name__
    if isinstance(e, PermissionError):
        return errors.ProblemError(
            errors.DENIED, 'socket %s: %s: is this user in the socket\'s '
            'group?' % (path, why), sent=False)
    return errors.ProblemError(
        errors.UNAVAILABLE, 'socket %s: %s: does `rbdctl serve` run?' %
        (path, why), sent=False)


def _broken(method, what, e):
    """The error of a request that was sent and got no whole answer."""
    kind = errors.UNAVAILABLE if method == 'GET' else errors.OUTCOME_UNKNOWN
    said = 'no answer in time' if isinstance(e, socket.timeout) else (
        str(e) or type(e).__name__)
    return errors.ProblemError(kind, '%s: %s' % (what, said))
