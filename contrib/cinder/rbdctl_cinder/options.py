"""The driver's options, in the backend's section of cinder.conf.

Two groups: the driver's own, and those of Cinder's RBD driver that mean the
same here. The latter are the very objects of that driver, because Cinder
refuses two definitions of one name, and one cinder-volume may run both
drivers.
"""

from oslo_config import cfg

from cinder.volume import configuration
from cinder.volume.drivers import rbd as upstream

OWN = [
    cfg.StrOpt('rbdctl_socket',
               default='/run/rbdctl/rbdctl.sock',
               help='The UNIX socket of the rbdctl sidecar (`rbdctl serve`) '
                    'that serves this backend. The user of cinder-volume must '
                    'be allowed to use it.'),
    cfg.IntOpt('rbdctl_timeout',
               default=300, min=1,
               help='For how many seconds the sidecar may stay silent before '
                    'a request is given up. It should be more than the '
                    'sidecar gives itself.'),
    cfg.IntOpt('rbdctl_retry_time',
               default=30, min=0,
               help='For how many seconds a request that the sidecar or the '
                    'cluster could not take is made again.'),
]

# What is the same with either driver.
_KEPT = ('rbd_cluster_name', 'rbd_pool', 'rbd_user', 'rbd_ceph_conf',
         'rbd_secret_uuid', 'rbd_flatten_volume_from_snapshot',
         'rbd_store_chunk_size', 'report_dynamic_total_capacity',
         'rbd_exclusive_cinder_pool', 'rados_connection_retries',
         'rados_connection_interval')

# What is decided elsewhere now; said once, at start, when it is set.
_ELSEWHERE = {
    'rbd_max_clone_depth': 'the sidecar has limits of its own',
    'enable_deferred_deletion': 'the sidecar always deletes in the background',
    'deferred_deletion_delay': 'the sidecar has a delay of its own',
    'deferred_deletion_purge_interval': 'the sidecar has one of its own',
    'rados_connect_timeout': 'the sidecar bounds every call',
    'replication_connect_timeout': 'rbdctl does not mirror volumes',
}

OPTIONS = OWN + [o for o in upstream.RBD_OPTS if o.dest in _KEPT]

cfg.CONF.register_opts(OWN, group=configuration.SHARED_CONF_GROUP)


def without_effect(conf):
    """The options that are set and do nothing here: pairs of name and why."""
    # To be known at all in the backend's section, of which this driver
    # registers its own options only.
    conf.append_config_values(
        [o for o in upstream.RBD_OPTS if o.dest in _ELSEWHERE])
    found = []
    for option in upstream.RBD_OPTS:
        why = _ELSEWHERE.get(option.dest)
        if why and conf.safe_get(option.dest) not in (None, option.default):
            found.append((option.dest, why))
    return found
