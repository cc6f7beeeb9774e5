"""The oldest Python that the package promises to run under."""

import ast
import configparser
import os
import re
import unittest

_HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


class SyntaxTestCase(unittest.TestCase):

    def test_oldest_python(self):
        conf = configparser.ConfigParser()
        conf.read(os.path.join(_HERE, 'setup.cfg'))
        oldest = re.match(r'>=(\d+)\.(\d+)$',
                          conf['options']['python_requires'])
        version = tuple(int(n) for n in oldest.groups())
        package = os.path.join(_HERE, 'rbdctl_cinder')
        files = [f for f in os.listdir(package) if f.endswith('.py')]
        self.assertGreater(len(files), 10)
        for name in files:
            with open(os.path.join(package, name)) as source:
                ast.parse(source.read(), name, feature_version=version)
