"""Volumes from a RAW image by the upstream driver itself: what its method
clone_image does between cinder-volume and the cluster, with nothing of Cinder
around it (no database, no messages, no threads), which is the least it can take.

usage: upstream.py CEPH_CONF IMAGE; each line of input is the id of a volume of
10 GiB; the answer is the seconds that it took.
"""

import sys
import time
import types

from cinder.volume import configuration
from cinder.volume import driver as base
from cinder.volume.drivers import rbd


def main():
    conf, image = sys.argv[1], sys.argv[2]
    options = configuration.Configuration(base.volume_opts, config_group='rbd')
    options.append_config_values(rbd.RBD_OPTS)
    group = configuration.CONF
    group([], project='bench', default_config_files=[])
    for name, value in {'rbd_ceph_conf': conf, 'rbd_user': 'admin', 'rbd_pool': 'volumes'}.items():
        group.set_override(name, value, group='rbd')
    driver = rbd.RBDDriver(configuration=options, host='bench@rbd')
    driver.do_setup(None)
    driver.check_for_setup_error()
    location = ('rbd://%s/images/%s/snap' % (driver._get_fsid(), image), None)
    for line in sys.stdin:
        volume = types.SimpleNamespace(id=line.strip(), name='volume-' + line.strip(), size=10,
                                       volume_type=None, volume_type_id=None)
        begin = time.monotonic()
        _, cloned = driver.clone_image(None, volume, location, {'disk_format': 'raw'}, None)
        took = time.monotonic() - begin
        if not cloned:
            sys.exit('the upstream driver did not clone')
        print(took, flush=True)


main()
