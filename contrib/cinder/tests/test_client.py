"""The client, against a real HTTP server on a UNIX socket."""

import os
import subprocess
import sys
import threading
import unittest
from unittest import mock

from rbdctl_cinder import client
from rbdctl_cinder import errors
from tests import stub

VOLUME = '/v1/volumes/0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9'
EMPTY = {'size_bytes': stub.GIB, 'source': {'kind': 'empty'}}


class _TestCase(unittest.TestCase):

    def setUp(self):
        self.sidecar = stub.Sidecar()
        self.addCleanup(self.sidecar.__exit__)
        self.sidecar.__enter__()
        pauses = mock.patch.object(client, 'FIRST_PAUSE', 0.01)
        pauses.start()
        self.addCleanup(pauses.stop)

    def client(self, **settings):
        settings.setdefault('timeout', 10)
        return client.Client(self.sidecar.socket, **settings)


class ClientTest(_TestCase):

    def problem(self, *request, **settings):
        with self.assertRaises(errors.ProblemError) as caught:
            self.client(**settings).call(*request)
        return caught.exception

    def test_answers(self):
        c = self.client()
        made = c.call('PUT', VOLUME, EMPTY)
        self.assertEqual(stub.GIB, made['size_bytes'])
        self.assertLessEqual(made.items(), c.call('GET', VOLUME).items())
        self.assertIsNone(c.call('DELETE', VOLUME))

    def test_every_kind(self):
        for kind, status in stub._STATUS.items():
            with self.subTest(kind):
                self.sidecar.faults = [stub.Problem(kind, 'two\nlines')]
                e = self.problem('GET', VOLUME, retry_time=0)
                self.assertEqual((kind, status, 'r-1', 'two lines'),
                                 (e.kind, e.status, e.request_id, str(e)))

    def test_answers_that_are_no_problem_documents(self):
        for status, text, kind in (
                (503, b'<html>', errors.UNAVAILABLE),
                (404, b'', errors.NOT_FOUND),
                (413, b'too large', errors.INVALID),
                (500, b'["kind"]', 'failed'),
                (409, b'{"kind": "unheard of"}', errors.EXISTS)):
            with self.subTest(status=status, text=text):
                self.sidecar.faults = [
                    lambda h, _, s=status, t=text: (s, t, 'text/html')]
                e = self.problem('GET', VOLUME, retry_time=0)
                self.assertEqual((kind, status), (e.kind, e.status))

    def test_fields_in_a_problem(self):
        self.sidecar.faults = [lambda h, _: (400, {
            'kind': 'invalid', 'detail': 'validation failed', 'errors': [
                {'location': 'body.size', 'message': 'too large'}]})]
        self.assertEqual('validation failed: body.size: too large',
                         str(self.problem('GET', VOLUME)))

    def test_an_answer_that_is_no_json(self):
        self.sidecar.faults = [lambda h, _: (200, b'well')]
        self.assertEqual('failed', self.problem('GET', VOLUME).kind)

    def test_an_answer_that_is_cut_off(self):
        def cut(handler, _):
            handler.send_response(200)
            handler.send_header('Content-Length', '100')
            handler.end_headers()
            handler.wfile.write(b'{"size_bytes": 1}')
            raise stub.Drop
        self.sidecar.faults = [cut]
        self.assertEqual(errors.UNAVAILABLE,
                         self.problem('GET', VOLUME, retry_time=0).kind)

    def test_made_again(self):
        for fault in (stub.Problem('unavailable'),
                      stub.Problem('outcome_unknown'), stub.Drop()):
            with self.subTest(str(fault)):
                self.sidecar.requests.clear()
                self.sidecar.faults = [fault, fault]
                self.client().call('PUT', VOLUME, EMPTY)
                self.assertEqual([('PUT', VOLUME)] * 3, self.sidecar.made())

    def test_made_once(self):
        for kind in errors.KINDS - {'unavailable', 'outcome_unknown'}:
            with self.subTest(kind):
                self.sidecar.requests.clear()
                self.sidecar.faults = [stub.Problem(kind)]
                self.assertEqual(kind, self.problem('PUT', VOLUME, EMPTY).kind)
                self.assertEqual(1, len(self.sidecar.requests))

    def test_not_made_again_when_told_so(self):
        self.sidecar.faults = [stub.Problem('unavailable')]
        with self.assertRaises(errors.ProblemError):
            self.client().call('GET', VOLUME, retry=False)
        self.assertEqual(1, len(self.sidecar.requests))

    def test_given_up_in_the_end(self):
        self.sidecar.faults = [stub.Drop()] * 1000
        e = self.problem('PUT', VOLUME, EMPTY, retry_time=0.2)
        self.assertEqual(errors.OUTCOME_UNKNOWN, e.kind)
        self.assertGreater(len(self.sidecar.requests), 1)

    def test_silence_is_not_tried_again(self):
        for method, kind in (('GET', errors.UNAVAILABLE),
                             ('DELETE', errors.OUTCOME_UNKNOWN)):
            with self.subTest(method):
                done = threading.Event()
                self.sidecar.requests.clear()
                self.sidecar.faults = [lambda *_: done.wait() and None]
                self.assertEqual(
                    kind, self.problem(method, VOLUME, timeout=2).kind)
                done.set()
                self.assertEqual(1, len(self.sidecar.requests))

    def test_a_sidecar_that_comes_later(self):
        later = stub.Sidecar()
        self.addCleanup(later.__exit__)

        def pause(_seconds):
            if not later._server:
                later.__enter__()
        with mock.patch.object(client.time, 'sleep', pause):
            answer = client.Client(later.socket).call('GET', '/v1/stats')
        self.assertEqual('up', answer['state'])

    def test_no_sidecar(self):
        self.sidecar.socket += '.not'
        e = self.problem('PUT', VOLUME, EMPTY, retry_time=0)
        self.assertEqual((errors.UNAVAILABLE, False), (e.kind, e.sent))
        self.assertIn(self.sidecar.socket, str(e))

    @unittest.skipUnless(os.geteuid() == 0, 'only root can become another')
    def test_a_socket_of_others(self):
        os.chmod(self.sidecar.dir.name, 0o711)
        os.chmod(self.sidecar.socket, 0o600)
        script = ('import os, sys; os.setuid(65534)\n'
                  'from rbdctl_cinder import client\n'
                  'try: client.Client(sys.argv[1]).call("GET", "/v1/stats")\n'
                  'except Exception as e: print(e.kind, e.sent)')
        self.assertEqual('denied False\n', self.python(script))

    def python(self, script, *flags):
        return subprocess.run(
            [sys.executable, '-c', script, self.sidecar.socket, *flags],
            check=True, text=True, stdout=subprocess.PIPE,
            timeout=60).stdout

    def test_request_ids(self):
        ids = iter(('req-1', None))
        c = self.client(request_id=lambda: next(ids))
        c.call('GET', '/v1/stats')
        c.call('GET', '/v1/stats')
        self.assertEqual(['req-1', None],
                         [r[3] for r in self.sidecar.requests])

    def test_requests_at_once(self):
        for flags in ((), ('eventlet',)):
            with self.subTest(flags):
                both = threading.Barrier(2, timeout=30)
                self.sidecar.faults = [
                    lambda *_: (200, {'n': both.wait()})] * 2
                self.assertEqual('[0, 1]\n', self.python(_AT_ONCE, *flags))


# Two requests, each answered when both are there.
_AT_ONCE = '''
import sys
if 'eventlet' in sys.argv:
    import eventlet
    eventlet.monkey_patch()
import threading
from rbdctl_cinder import client
c = client.Client(sys.argv[1], timeout=20, retry_time=0)
got = []
ask = lambda: got.append(c.call('GET', '/v1/stats')['n'])
threads = [threading.Thread(target=ask) for _ in range(2)]
for t in threads: t.start()
for t in threads: t.join()
print(sorted(got))
'''


class DataTest(_TestCase):

    def setUp(self):
        super().setUp()
        self.c = self.client()
        self.c.call('PUT', VOLUME, dict(EMPTY, size_bytes=64 << 20))

    def stored(self):
        return bytes(next(iter(self.sidecar.volumes.values())).data)

    def test_upload(self):
        sent = [bytes([n]) * client.CHUNK for n in range(1, 5)]
        answer = self.c.upload(VOLUME + '/data', iter(sent), 4 << 20)
        self.assertEqual({'bytes': 4 << 20}, answer)
        self.assertEqual(b''.join(sent), self.stored())

    def test_content_of_another_length(self):
        for chunks, said in (([b'x' * 512], 1024), ([b'x' * 1024], 512)):
            with self.subTest(said), self.assertRaises(
                    errors.ProblemError) as caught:
                self.c.upload(VOLUME + '/data', chunks, said)
            self.assertEqual(errors.INVALID, caught.exception.kind)
        self.assertEqual(b'', self.stored())

    def test_a_source_that_fails(self):
        for failure in (KeyError('a'), BrokenPipeError('b'), OSError('c')):
            def chunks(failure=failure):
                yield b'x' * 512
                raise failure
            with self.subTest(repr(failure)), self.assertRaises(
                    type(failure)) as caught:
                self.c.upload(VOLUME + '/data', chunks(), 1024)
            self.assertIs(failure, caught.exception)
        self.assertEqual(b'', self.stored())

    def test_an_early_refusal(self):
        def refuse(handler):
            handler.answer(409, {'kind': 'in_use', 'detail': 'by a guest'},
                           'application/problem+json')
            handler.close_connection = True
        with mock.patch.object(stub._Handler, 'do_PUT', refuse), \
                self.assertRaises(errors.ProblemError) as caught:
            zeroes = (bytes(client.CHUNK) for _ in range(64))
            self.c.upload(VOLUME + '/data', zeroes, 64 << 20)
        self.assertEqual(errors.IN_USE, caught.exception.kind)

    def test_uploads_are_made_once(self):
        self.sidecar.requests.clear()
        self.sidecar.faults = [stub.Problem('unavailable')]
        with self.assertRaises(errors.ProblemError):
            self.c.upload(VOLUME + '/data', [b'x' * 512], 512)
        self.assertEqual(1, len(self.sidecar.requests))

    def test_download(self):
        self.c.upload(VOLUME + '/data', [b'abcd' * 256], 1024)
        with self.c.download(VOLUME + '/data') as data:
            self.assertEqual(64 << 20, data.length)
            self.assertEqual(b'abcd', data.read(4))
            rest = data.read(-1)
            self.assertEqual(b'', data.read(1))
        self.assertEqual(b'abcd' * 255 + bytes((64 << 20) - 1024), rest)

    def test_a_download_is_closed(self):
        def alone(handler, _):
            handler.send_response(200)
            handler.send_header('Content-Length', '1024')
            handler.send_header('Connection', 'close')  # as the sidecar does
            handler.end_headers()
            handler.wfile.write(bytes(1024))
        self.sidecar.faults = [alone]
        with self.c.download(VOLUME + '/data') as data:
            data.read(4)
            response = data._response
        self.assertTrue(response.isclosed())

    def test_a_download_that_is_read_again(self):
        with self.c.download(VOLUME + '/data') as data:
            self.assertTrue(data)
            data.read(4)
            with self.assertRaisesRegex(errors.ProblemError, 'read once'):
                bool(data)

    def test_a_download_that_ends_early(self):
        def cut(handler, _):
            handler.send_response(200)
            handler.send_header('Content-Length', '1024')
            handler.end_headers()
            handler.wfile.write(bytes(512))
            raise stub.Drop
        self.sidecar.faults = [cut]
        with self.c.download(VOLUME + '/data') as data:
            with self.assertRaises(errors.ProblemError) as caught:
                for _ in data:
                    pass
        self.assertEqual(errors.UNAVAILABLE, caught.exception.kind)

    def test_a_download_that_is_refused(self):
        with self.assertRaises(errors.ProblemError) as caught:
            self.c.download(VOLUME[:-1] + '0/data')
        self.assertEqual(errors.NOT_FOUND, caught.exception.kind)


if __name__ == '__main__':
    unittest.main()
