"""Whether the sidecar of the tests is like the one that is described."""

import json
import os
import re
import unittest
import uuid

from tests import stub

_DESCRIPTION = os.path.join(os.path.dirname(__file__), *(['..'] * 3), 'docs',
                            'openapi.json')


class StubTest(unittest.TestCase):

    def setUp(self):
        with open(_DESCRIPTION) as f:
            self.description = json.load(f)

    def operations(self):
        """The operations that the stub has: path, method, fields, and what
        the description says."""
        for path, item in self.description['paths'].items():
            at = re.sub(r'{\w+}', str(uuid.uuid4()), path)
            for pattern, table in stub._ROUTES:
                if re.fullmatch(pattern, at):
                    for method, (_, fields) in table.items():
                        yield path, method, fields, item.get(method.lower())

    def fields(self, content):
        schema = (content or {}).get('application/json', {}).get('schema')
        if not schema:
            return {}
        name = schema.get('$ref', '').rpartition('/')[2]
        schema = self.description['components']['schemas'].get(name, schema)
        return schema.get('properties', {})

    def test_requests(self):
        found = set()
        for path, method, fields, described in self.operations():
            found.add((path, method))
            with self.subTest(path, method=method):
                self.assertIsNotNone(described)
                body = described.get('requestBody', {}).get('content')
                self.assertLessEqual(set(fields), set(self.fields(body)))
        self.assertEqual(len(found), sum(len(t) for _, t in stub._ROUTES))

    def test_answers(self):
        sidecar = stub.Sidecar()
        self.addCleanup(sidecar.dir.cleanup)
        vid = str(uuid.uuid4())
        for method, path, body in (
                ('PUT', '', {'size_bytes': 1, 'source': {'kind': 'empty'},
                             'multiattach': True}),
                ('GET', '', None), ('GET', '/connection', None),
                ('PUT', '/multiattach', {'enabled': True}),
                ('PUT', '/multiattach', {'enabled': False}),
                ('POST', '/extend', {'size_bytes': 2}),
                ('PUT', '/qos', {'qos': {}})):
            with self.subTest(path, method=method):
                status, answer = sidecar.route(method, '/v1/volumes/' + vid +
                                               path, body)
                described = self.description['paths'][
                    '/v1/volumes/{id}' + path][method.lower()]['responses']
                self.assertEqual(
                    set(self.fields(described[str(status)].get('content'))),
                    set(answer or ()))


if __name__ == '__main__':
    unittest.main()
