"""What a volume is to be, read out of Cinder's objects."""

import json
import math

from oslo_utils import units

from cinder import context
from cinder import exception
from cinder.volume import qos_specs

# The limits of a QoS spec that Ceph enforces; others are for the hypervisor.
# See: cinder/volume/drivers/rbd.py, QOS_KEY_MAP.
_QOS_KEYS = frozenset(
    '%s_%s_sec%s' % (direction, unit, burst)
    for direction in ('total', 'read', 'write')
    for unit in ('iops', 'bytes')
    for burst in ('', '_max'))


def image_id(volume):
    """The id in the name of the volume's image: another one after a migration.

    See: cinder/objects/volume.py, name_id.
    """
    return volume.name_id


def size_bytes(volume):
    """The volume's size.

    The image of an encrypted one is larger by a LUKS header: the sidecar sees
    to that for whatever has a header already.
    """
    return gib_bytes(volume.size)


def object_size(conf):
    """The size of a blank volume's objects: rbd_store_chunk_size, in bytes.

    Ceph wants a power of two.
    See: cinder/volume/drivers/rbd.py, create_volume.
    """
    return 1 << int(math.log2(conf.rbd_store_chunk_size * units.Mi))


def wants_multiattach(volume_type):
    return _extra_spec(volume_type, 'multiattach')


def wants_replication(volume_type):
    return _extra_spec(volume_type, 'replication_enabled')


def _extra_spec(volume_type, name):
    specs = (volume_type and volume_type.get('extra_specs')) or {}
    return specs.get(name) == '<is> True'


def qos(volume_type):
    """The limits that Ceph is to enforce on volumes of the type."""
    specs_id = volume_type and volume_type.get('qos_specs_id')
    if not specs_id:
        return {}
    found = qos_specs.get_qos_specs(context.get_admin_context(), specs_id)
    if found['consumer'] not in ('back-end', 'both'):
        return {}
    return {k: str(v) for k, v in found['specs'].items() if k in _QOS_KEYS}


def check_type(volume_type):
    """Refuses types that cannot be had here."""
    if wants_replication(volume_type):
        raise exception.VolumeDriverException(
            message='rbdctl does not mirror volumes: take replication_enabled '
                    'out of the volume type, or use another backend')


def of_type(volume_type):
    """The part of a request for a volume that its type decides."""
    check_type(volume_type)
    wanted = {}
    limits = qos(volume_type)
    if limits:
        wanted['qos'] = limits
    if wants_multiattach(volume_type):
        wanted['multiattach'] = True
    return wanted


def source_name(existing_ref):
    """The name in a reference to something to manage."""
    if isinstance(existing_ref, dict):
        name = existing_ref.get('source-name')
    else:
        name = existing_ref
    if not name:
        raise exception.ManageExistingInvalidReference(
            existing_ref=existing_ref,
            reason='Reference must contain source-name element.')
    return str(name)


def gib(size):
    """``size`` bytes in whole GiB, rounded up."""
    return -(-int(size) // units.Gi)


def gib_bytes(size):
    """``size`` GiB in bytes."""
    return int(size) * units.Gi


def multiattach(volume, wanted):
    """The request to begin or end multiattach.

    Cinder's own RBD driver keeps in the volume's record which features to
    give back.
    """
    try:
        saved = json.loads(volume.provider_location)['saved_features']
    except (TypeError, ValueError, KeyError):
        saved = None  # no record, or one of something else
    if wanted or not isinstance(saved, int) or saved < 0:
        return {'enabled': wanted}
    return {'enabled': False, 'saved_features': saved}


def multiattach_update(answer):
    """The model update of a volume that is for several hosts now.

    Cinder's own RBD driver ends multiattach by it.
    See: cinder/volume/drivers/rbd.py, _enable_multiattach.
    """
    return {'provider_location': json.dumps(
        {'saved_features': answer['saved_features']},
        separators=(',', ':'), sort_keys=True)}
