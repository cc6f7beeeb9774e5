"""Scenarios about volumes and what they are made of."""
import os

import pools
from resources import Resources

MIB = 1 << 20


def name(volume):
    return "volume-" + volume


def expect(what, got, wanted):
    if got != wanted:
        raise AssertionError("%s: got %r, want %r" % (what, got, wanted))


def pattern(size):
    """Bytes that no two calls share, so that a clone of the wrong thing shows."""
    return os.urandom(size)


def chain(r: Resources):
    """Image, volume, snapshot, volume of the snapshot, volume of the volume: each has
    its parent's content and its own size, and all go away parents first."""
    data = pattern(6 * MIB)
    image = r.image(data)
    first = r.volume(1, imageRef=image)
    expect("parent of a volume from an image", pools.parent(name(first)), "images/%s@snap" % image)
    expect("its content", pools.read(name(first), 0, len(data)), data)
    pools.write(name(first), 4 * MIB, b"before the snapshot")
    snapshot = r.snapshot(first)
    pools.write(name(first), 4 * MIB, b"after it, different")
    second = r.volume(2, snapshot_id=snapshot)
    expect("parent of a volume from a snapshot", pools.parent(name(second)),
           "volumes/%s@snapshot-%s" % (name(first), snapshot))
    expect("its content", pools.read(name(second), 4 * MIB, 19), b"before the snapshot")
    expect("its size", pools.size(name(second)), 2 << 30)
    third = r.volume(2, source_volid=second)
    expect("content of a volume from a volume", pools.read(name(third), 4 * MIB, 19), b"before the snapshot")
    r.act("volume", third, "os-extend", {"new_size": 3})
    r.ready("volume", third)
    expect("size after an extend", pools.size(name(third)), 3 << 30)
    # Parents first: what depends on them keeps working.
    r.away("volume", second)
    expect("content after its source is gone", pools.read(name(third), 4 * MIB, 19), b"before the snapshot")
    r.away("snapshot", snapshot)
    r.away("volume", first)
    expect("content after all sources are gone", pools.read(name(third), 0, 4 * MIB), data[:4 * MIB])
    r.away("volume", third)
    r.away("image", image)


def revert(r: Resources):
    """Back to the last snapshot, which stays."""
    volume = r.volume(1)
    pools.write(name(volume), 0, b"kept")
    snapshot = r.snapshot(volume)
    pools.write(name(volume), 0, b"lost")
    r.act("volume", volume, "revert", {"snapshot_id": snapshot})
    r.ready("volume", volume)
    expect("content after the revert", pools.read(name(volume), 0, 4), b"kept")
    expect("snapshots after it", pools.snapshots(name(volume)), ["snapshot-" + snapshot])
    r.away("snapshot", snapshot)
    r.away("volume", volume)


def manage(r: Resources):
    """A volume is let go, found among the manageable ones, and taken in again."""
    volume = r.volume(1)
    pools.write(name(volume), 0, b"as it was")
    host = r.show("volume", volume)["os-vol-host-attr:host"]
    r.act("volume", volume, "os-unmanage", {})
    r.gone("volume", volume)
    r.made.remove(("volume", volume))
    expect("the image of an unmanaged volume", pools.size(name(volume)), 1 << 30)
    listed = r.c.get("%s/manageable_volumes/detail?host=%s" % (r.c.cinder, host))["manageable-volumes"]
    found = [v for v in listed if v["reference"].get("source-name") == name(volume)]
    expect("manageable entries of it", [(v["safe_to_manage"], v["size"]) for v in found], [(True, 1)])
    taken = r.c.post(r.c.cinder + "/manageable_volumes", {"volume": {
        "host": host, "ref": {"source-name": name(volume)}, "name": "taken in"}})["volume"]["id"]
    r.made.append(("volume", taken))
    r.ready("volume", taken)
    expect("its content", pools.read(name(taken), 0, 9), b"as it was")
    r.away("volume", taken)
