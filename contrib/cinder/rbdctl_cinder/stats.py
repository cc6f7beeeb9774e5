"""The sidecar's statistics as Cinder's scheduler wants them."""

from oslo_utils import units

# Five fields, as Cinder's own RBD driver reports them: each of the two drivers
# understands the other's. See: cinder/volume/drivers/rbd.py, migrate_volume.
_LOCATION_FIELDS = 5


def for_scheduler(driver, answer, fsid):
    """The statistics of a backend.

    ``answer`` is the sidecar's, {} if there is none; ``fsid`` the cluster's,
    as far as it is known.
    """
    conf = driver.configuration
    up = answer.get('state') == 'up'
    found = {
        'volume_backend_name': conf.safe_get('volume_backend_name') or 'RBD',
        'vendor_name': 'Open Source',
        'driver_version': driver.VERSION,
        'storage_protocol': driver.STORAGE_PROTOCOL,
        'backend_state': 'up' if up else 'down',
        'total_capacity_gb': 'unknown',
        'free_capacity_gb': 'unknown',
        'reserved_percentage': conf.safe_get('reserved_percentage'),
        'max_over_subscription_ratio': conf.safe_get(
            'max_over_subscription_ratio'),
        'thin_provisioning_support': True,
        'multiattach': True,
        'online_extend_support': True,
        'replication_enabled': False,
        # Group types ask for it by its name.
        'consistent_group_snapshot_enabled': True,
        # The scheduler reads the first, operators know the second.
        # See: cinder/scheduler/host_manager.py, update_backend.
        'QoS_support': True,
        'qos_support': True,
    }
    if fsid:
        found['location_info'] = _location(conf, fsid)
    if up:
        found.update(_capacity(conf, answer))
    return found


def _location(conf, fsid):
    return '%s:%s:%s:%s:%s' % (conf.rbd_cluster_name, conf.rbd_ceph_conf,
                               fsid, conf.rbd_user, conf.rbd_pool)


def _capacity(conf, answer):
    total = 'total_bytes' if conf.safe_get('report_dynamic_total_capacity') \
        else 'fixed_total_bytes'
    found = {'total_capacity_gb': _gb(answer[total]),
             'free_capacity_gb': _gb(answer['free_bytes'])}
    if 'total_volumes' in answer:
        found['total_volumes'] = answer['total_volumes']
    # Of a pool of its own Cinder knows by itself what it has given away.
    if not conf.safe_get('rbd_exclusive_cinder_pool') and \
            answer.get('provisioned_bytes'):
        found['provisioned_capacity_gb'] = _gb(answer['provisioned_bytes'])
    return found


def _gb(size):
    return round(size / units.Gi, 2)


def pool_of(driver, capabilities):
    """The pool of a backend of the same cluster; None for any other backend.

    A location without a fsid is of a backend that never was up.
    """
    if capabilities.get('storage_protocol') != driver.STORAGE_PROTOCOL:
        return None
    fields = str(capabilities.get('location_info')).split(':')
    if len(fields) != _LOCATION_FIELDS:
        return None
    _cluster, _conf, fsid, _user, pool = fields
    if not fsid or fsid != driver._fsid():
        return None
    return pool or None
