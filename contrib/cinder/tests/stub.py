"""A server on a UNIX socket that answers as `rbdctl serve` does.

It keeps volumes in memory and holds to the sidecar's API: unknown fields and
paths are refused, requests may be made twice. `faults` are what it does
instead of answering, one for each request that comes.
"""

import http.server
import json
import os
import re
import socket
import socketserver
import tempfile
import threading

FSID = '5a0f2b0e-3c58-4f1f-8c55-a1b3c2d4e5f6'
GIB = 1 << 30
ONE_WRITER = 4 | 8 | 16 | 64  # features: see MULTIATTACH_EXCLUSIONS

_STATUS = {'invalid': 400, 'not_found': 404, 'exists': 409, 'in_use': 409,
           'denied': 403, 'unavailable': 503, 'unsupported': 422,
           'outcome_unknown': 504}


class Problem(Exception):
    def __init__(self, kind, detail='because'):
        super().__init__(kind)
        self.kind = kind
        self.detail = detail


class Drop(Exception):
    """Close the connection instead of answering."""


class Volume:
    def __init__(self, size, **known):
        self.size = size
        self.data = bytearray()
        self.known = known  # what it was asked to be
        self.snapshots = {}
        self.released = set()  # those of them that are not protected
        self.features = 61
        self.saved = 0  # the note of the features before
        self.imported = None  # id of the image

    def content(self):
        return bytes(self.data) + bytes(self.size - len(self.data))


class Sidecar:
    """The server. Use it as a context manager; `socket` is its path."""

    def __init__(self):
        self.dir = tempfile.TemporaryDirectory()
        self.socket = os.path.join(self.dir.name, 'rbdctl.sock')
        self.volumes = {}
        self.groups = {}  # id: ids of volumes
        self.images = {}  # name of others in the pool: size
        self.requests = []  # (method, path, body, request id)
        self.faults = []  # exceptions or functions, one a request
        self.stats = {'state': 'up', 'fsid': FSID, 'pool': 'volumes',
                      'image_pool': 'images', 'total_bytes': 100 * GIB,
                      'fixed_total_bytes': 200 * GIB,
                      'free_bytes': 60 * GIB, 'used_bytes': 40 * GIB,
                      'provisioned_bytes': 0, 'quota_bytes': 0,
                      'total_volumes': 3}
        self.job = None  # kind, volume, pool or body
        self.states = ['running', 'done']  # what the job is at each look
        self.elsewhere = {}  # pool: volumes
        self.glance = {}  # id: size of an image that can be cloned
        self.disks = {}  # id: size of the disk in a qcow2 image
        self.lock = threading.Lock()
        self._server = None

    def __enter__(self):
        sidecar = self

        class Handler(_Handler):
            pass
        Handler.sidecar = sidecar
        self._server = _Server(self.socket, Handler)
        self._thread = threading.Thread(target=self._server.serve)
        self._thread.start()
        return self

    def __exit__(self, *_exc):
        if self._server:
            self._server.stop()
            self._thread.join()
            self._server.socket.close()
        self.dir.cleanup()

    def made(self, method=None):
        """The requests that came: pairs of method and path."""
        return [(m, p) for m, p, _, _ in self.requests
                if method in (None, m)]

    def bodies(self, path):
        return [b for _, p, b, _ in self.requests if p == path]

    # Routes: a method each, with the parts of the path.

    def route(self, method, path, body):
        for pattern, table in _ROUTES:
            found = re.fullmatch(pattern, path)
            if not found:
                continue
            if method not in table:
                raise Problem('unsupported', method + ' ' + path)
            name, fields = table[method]
            if isinstance(body, dict):
                unknown = set(body) - set(fields)
                if unknown:
                    raise Problem('invalid', 'unknown field %s' % unknown)
            return getattr(self, name)(*found.groups(), body)
        raise Problem('not_found', 'no such path: ' + path)

    def get_stats(self, _):
        return 200, self.stats

    def volume(self, vid):
        if vid not in self.volumes:
            raise Problem('not_found', 'no volume ' + vid)
        return self.volumes[vid]

    def put_volume(self, vid, body):
        source = body['source']
        if vid in self.volumes:
            there = self.volumes[vid]
            if there.imported and source == {'kind': 'image',
                                             'id': there.imported}:
                there.known = body
            same = there.known == body
            if not same:
                raise Problem('exists', 'it differs')
            return 200, self.made_volume(vid)
        made = Volume(body['size_bytes'])
        made.known = body
        if source['kind'] == 'image':
            if source['id'] in self.disks:
                raise Problem('invalid', 'it is qcow2')
            if source['id'] not in self.glance:
                raise Problem('not_found', 'no image')
            if self.glance[source['id']] > made.size:
                raise Problem('invalid', 'smaller than the image')
        elif source['kind'] == 'volume':
            if (source.get('prepared') and
                    self.volume(source['id']).prepared != vid):
                raise Problem('not_found', 'no prepared snapshot')
            made.data = bytearray(self.volume(source['id']).data)
        elif source['kind'] == 'snapshot':
            parent = self.volume(source['volume_id'])
            if source['id'] not in parent.snapshots:
                raise Problem('not_found', 'no snapshot')
            made.data = bytearray(parent.snapshots[source['id']])
        elif source != {'kind': 'empty'}:
            raise Problem('invalid', 'source %s' % source)
        self.volumes[vid] = made
        if body.get('multiattach'):
            self.put_multiattach(vid, {'enabled': True})
        return 201, self.made_volume(vid)

    def made_volume(self, vid):
        """What is said of a volume that was asked for."""
        return {k: v for k, v in self.show(vid).items() if k in (
            'id', 'name', 'pool', 'size_bytes', 'object_size_bytes',
            'parent')}

    def show(self, vid):
        v = self.volume(vid)
        return {'id': vid, 'name': 'volume-' + vid, 'pool': 'volumes',
                'size_bytes': v.size, 'object_size_bytes': 4 << 20,
                'parent': None, 'depth': 0, 'metadata': {},
                'snapshots': [
                    {'id': s, 'name': 'snapshot-' + s,
                     'protected': s not in v.released,
                     'size_bytes': v.size} for s in v.snapshots]}

    def get_volume(self, vid, _):
        return 200, self.show(vid)

    def get_volumes(self, _):
        return 200, {'volumes': [{'id': v, 'name': 'volume-' + v}
                                 for v in self.volumes]}

    def delete_volume(self, vid, _):
        self.volumes.pop(vid, None)
        return 204, None

    def extend(self, vid, body):
        v = self.volume(vid)
        if body['size_bytes'] < v.size:
            raise Problem('invalid', 'smaller')
        v.size = body['size_bytes']
        return 200, self.show(vid)

    def revert(self, vid, body):
        v = self.volume(vid)
        if body['snapshot_id'] not in v.snapshots:
            raise Problem('not_found', 'no snapshot')
        v.data = bytearray(v.snapshots[body['snapshot_id']])
        return 200, self.show(vid)

    def rename(self, vid, body):
        if body['id'] in self.volumes:
            raise Problem('exists', 'there is one')
        self.volumes[body['id']] = self.volume(vid)
        del self.volumes[vid]
        return 200, self.show(body['id'])

    def adopt(self, vid, body):
        if body['name'] not in self.images:
            raise Problem('not_found', 'no image')
        self.volumes[vid] = Volume(self.images.pop(body['name']))
        return 200, self.show(vid)

    def flatten(self, vid, _):
        self.volume(vid)
        return 202, {'id': 'job', 'kind': 'flatten', 'state': 'queued'}

    def migrate(self, vid, body):
        if vid in self.elsewhere.get(body['pool'], ()):
            return 202, {'id': 'job', 'kind': 'migrate', 'state': 'done'}
        self.volume(vid)
        self.job = ('migrate', vid, body['pool'])
        return 202, {'id': 'job', 'kind': 'migrate', 'state': 'queued'}

    def import_image(self, vid, body):
        if vid in self.volumes:
            if (self.volumes[vid].imported != body['image_id'] or
                    self.volumes[vid].size != body['size_bytes']):
                raise Problem('exists', 'it differs')
            return 202, {'id': 'job', 'kind': 'import', 'state': 'done'}
        if body['image_id'] not in self.disks:
            raise Problem('not_found', 'no image')
        if (body['format'] != 'qcow2' or
                self.disks[body['image_id']] > body['size_bytes']):
            raise Problem('invalid', 'smaller than the disk')
        self.job = ('import', vid, body)
        return 202, {'id': 'job', 'kind': 'import', 'state': 'queued'}

    def get_job(self, jid, _):
        if jid != 'job' or not self.job:
            raise Problem('not_found', 'no job')
        state, error = self.states.pop(0), ''
        kind, vid, what = self.job
        if state == 'done' and kind == 'import':
            self.volumes[vid] = Volume(what['size_bytes'])
            self.volumes[vid].imported = what['image_id']
        elif state == 'done':
            self.elsewhere.setdefault(what, {})[vid] = self.volumes.pop(vid)
        elif state == 'failed':
            error = 'because'
        return 200, {'id': jid, 'kind': kind, 'state': state, 'error': error}

    def put_snapshot(self, vid, sid, _):
        v = self.volume(vid)
        made = sid not in v.snapshots
        v.snapshots.setdefault(sid, bytes(v.data))
        return 201 if made else 200, {'id': sid, 'volume_id': vid}

    def delete_snapshot(self, vid, sid, _):
        if vid in self.volumes:
            self.volumes[vid].snapshots.pop(sid, None)
        return 204, None

    def adopt_snapshot(self, vid, sid, body):
        v = self.volume(vid)
        if body['name'] not in v.snapshots:
            raise Problem('not_found', 'no snapshot')
        v.snapshots[sid] = v.snapshots.pop(body['name'])
        return 204, None

    def release_snapshot(self, vid, sid, _):
        if sid not in self.volume(vid).snapshots:
            raise Problem('not_found', 'no snapshot')
        self.volume(vid).released.add(sid)
        return 204, None

    def group(self, gid):
        if gid not in self.groups:
            raise Problem('not_found', 'no group ' + gid)
        return self.groups[gid]

    def put_group(self, gid, _):
        made = gid not in self.groups
        self.groups.setdefault(gid, set())
        return 201 if made else 200, self.show_group(gid)

    def show_group(self, gid):
        return {'id': gid, 'name': 'group-' + gid, 'pool': 'volumes',
                'volumes': [{'id': v, 'name': 'volume-' + v}
                            for v in sorted(self.group(gid))]}

    def delete_group(self, gid, _):
        self.groups.pop(gid, None)
        return 204, None

    def update_group(self, gid, body):
        group = self.group(gid)
        for vid in body['add']:
            self.volume(vid)
        group.update(body['add'])
        group.difference_update(body['remove'])
        return 200, self.show_group(gid)

    def prepare_clone(self, gid, body):
        self.groups[gid] = {v['source_id'] for v in body['volumes']}
        for v in body['volumes']:
            self.volume(v['source_id']).prepared = v['id']
        return 204, None

    def put_group_snapshot(self, gid, sid, body):
        self.groups[gid] = {s['volume_id'] for s in body['snapshots']}
        for s in body['snapshots']:
            self.put_snapshot(s['volume_id'], s['id'], None)
        return 201, {'id': sid, 'group_id': gid, **body}

    def delete_group_snapshot(self, gid, sid, body):
        for s in body['snapshots']:
            self.delete_snapshot(s['volume_id'], s['id'], None)
        return 204, None

    def put_qos(self, vid, body):
        self.volume(vid).qos = body['qos']
        return 204, None

    def put_multiattach(self, vid, body):
        v = self.volume(vid)
        if body['enabled']:
            v.saved |= v.features
            v.features &= ~ONE_WRITER
            return 200, {'saved_features': v.saved}
        v.features |= (v.saved or body.get('saved_features', 0)) & ONE_WRITER
        v.saved = 0
        return 200, {'saved_features': v.features}

    def get_connection(self, vid, _):
        self.volume(vid)
        return 200, {'name': 'volumes/volume-' + vid, 'hosts': ['10.0.0.1'],
                     'ports': ['6789'], 'cluster_name': 'ceph',
                     'auth_enabled': True, 'auth_username': 'sidecar',
                     'secret_type': 'ceph', 'secret_uuid': FSID,
                     'volume_id': vid, 'discard': True}

    def get_data(self, vid, _):
        return 200, self.volume(vid).content()

    def put_data(self, vid, body):
        v = self.volume(vid)
        if len(body) > v.size:
            raise Problem('invalid', 'more than the volume holds')
        if not body or len(body) % 512:
            raise Problem('invalid', 'no whole sectors')
        v.data[:len(body)] = body
        return 200, {'bytes': len(body)}

    def get_manageable(self, _):
        return 200, {'volumes': [self.get_manageable_image(n, None)[1]
                                 for n in sorted(self.images)]}

    def get_manageable_image(self, name, _):
        if name not in self.images:
            raise Problem('not_found', 'no image')
        return 200, {'name': name, 'size_bytes': self.images[name],
                     'id': name[7:] if name.startswith('volume-') else '',
                     'safe': True, 'reason': ''}

    def get_manageable_snapshots(self, vid, _):
        return 200, {'snapshots': [
            {'name': n, 'id': n[9:] if n.startswith('snapshot-') else '',
             'size_bytes': self.volume(vid).size, 'safe': False,
             'reason': 'of a backup'} if n.startswith('backup.') else
            {'name': n, 'id': n[9:] if n.startswith('snapshot-') else '',
             'size_bytes': self.volume(vid).size, 'safe': True, 'reason': ''}
            for n in sorted(self.volume(vid).snapshots)]}


_V = r'/v1/volumes/([0-9a-f-]{36})'
_S = _V + r'/snapshots/([^/]+)'
_G = r'/v1/groups/([0-9a-f-]{36})'
_ROUTES = (
    (_G, {'PUT': ('put_group', ()), 'DELETE': ('delete_group', ())}),
    (_G + '/update', {'POST': ('update_group', ('add', 'remove'))}),
    (_G + '/prepare-clone', {'POST': ('prepare_clone', ('id', 'volumes'))}),
    (_G + '/snapshots/([^/]+)', {
        'PUT': ('put_group_snapshot', ('snapshots',)),
        'DELETE': ('delete_group_snapshot', ('snapshots',))}),
    (r'/v1/stats', {'GET': ('get_stats', ())}),
    (r'/v1/volumes', {'GET': ('get_volumes', ())}),
    (r'/v1/manageable', {'GET': ('get_manageable', ())}),
    (r'/v1/manageable/([^/]+)', {'GET': ('get_manageable_image', ())}),
    (_V, {'GET': ('get_volume', ()), 'DELETE': ('delete_volume', ()),
          'PUT': ('put_volume', ('size_bytes', 'source', 'qos', 'multiattach',
                                 'object_size_bytes', 'temporary'))}),
    (_V + '/extend', {'POST': ('extend', ('size_bytes',))}),
    (_V + '/revert', {'POST': ('revert', ('snapshot_id',))}),
    (_V + '/rename', {'POST': ('rename', ('id',))}),
    (_V + '/adopt', {'POST': ('adopt', ('name',))}),
    (_V + '/flatten', {'POST': ('flatten', ())}),
    (_V + '/migrate', {'POST': ('migrate', ('pool',))}),
    (_V + '/import', {'POST': ('import_image', (
        'image_id', 'format', 'size_bytes', 'object_size_bytes'))}),
    (r'/v1/jobs/([^/]+)', {'GET': ('get_job', ())}),
    (_V + '/qos', {'PUT': ('put_qos', ('qos',))}),
    (_V + '/multiattach', {'PUT': ('put_multiattach', (
        'enabled', 'saved_features'))}),
    (_V + '/connection', {'GET': ('get_connection', ())}),
    (_V + '/data', {'GET': ('get_data', ()), 'PUT': ('put_data', ())}),
    (_V + '/manageable-snapshots', {
        'GET': ('get_manageable_snapshots', ())}),
    (_S, {'PUT': ('put_snapshot', ()), 'DELETE': ('delete_snapshot', ())}),
    (_S + '/release', {'POST': ('release_snapshot', ())}),
    (_S + '/adopt', {'POST': ('adopt_snapshot', ('name',))}),
)


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    """Accepts by itself: serve_forever would not yield to green threads."""

    daemon_threads = True
    request_queue_size = 128

    stopping = False

    def serve(self):
        while not self.stopping:
            connection, _ = self.socket.accept()
            self.process_request(connection, 'unix')

    def stop(self):
        self.stopping = True
        with socket.socket(socket.AF_UNIX) as last:
            last.connect(self.server_address)


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    sidecar = None

    def address_string(self):
        return 'unix'

    def log_message(self, *_args):
        pass

    def handle_any(self):
        sidecar = self.sidecar
        try:
            body = self.body()
        except EOFError:
            sidecar.requests.append((self.command, self.path, EOFError, None))
            self.close_connection = True
            return
        with sidecar.lock:
            sidecar.requests.append((
                self.command, self.path, body,
                self.headers.get('X-Openstack-Request-Id')))
            fault = sidecar.faults.pop(0) if sidecar.faults else None
        try:
            meant = self.headers.get('Rbdctl-Pool')
            if meant not in (None, sidecar.stats['pool']):
                raise Problem('invalid', 'the request is for pool "%s", and '
                              'this sidecar serves "%s"' %
                              (meant, sidecar.stats['pool']))
            if callable(fault):
                answer = fault(self, body)
            elif fault:
                raise fault
            else:
                answer = sidecar.route(self.command, self.path, body)
            if answer:
                self.answer(*answer)
        except Problem as p:
            self.answer(_STATUS[p.kind], {
                'title': 'It went wrong', 'status': _STATUS[p.kind],
                'detail': p.detail, 'kind': p.kind, 'request_id': 'r-1'},
                'application/problem+json')
        except (Drop, BrokenPipeError):  # the latter: the client gave up
            self.close_connection = True

    do_GET = do_PUT = do_POST = do_DELETE = handle_any

    def body(self):
        length = int(self.headers.get('Content-Length') or 0)
        data = self.rfile.read(length)
        if len(data) < length:
            raise EOFError
        if self.headers.get('Content-Type') == 'application/json':
            return json.loads(data)
        return data

    def answer(self, status, document, kind='application/json'):
        text = document if isinstance(document, bytes) else (
            b'' if document is None else json.dumps(document).encode())
        self.send_response(status)
        if status != 204:
            self.send_header('Content-Type', kind)
            self.send_header('Content-Length', str(len(text)))
        self.end_headers()
        self.wfile.write(text)
