"""The scenario of groups whose snapshots are of one moment."""
import cloud
import pools
from lifecycle import expect, name
from resources import Resources


def of_group(r: Resources, group, field="id"):
    """A field of each volume of a group, and the volume's id."""
    listed = r.c.get("%s/volumes/detail?group_id=%s" % (r.c.cinder, group))["volumes"]
    return {volume[field]: volume["id"] for volume in listed}


def copy(r: Resources, **source):
    """A group that is made of another one, or of its snapshot."""
    made = r.c.post(r.c.cinder + "/groups/action", {"create-from-src": {"name": "scenario", **source}})
    r.made.append(("group", made["group"]["id"]))
    return r.ready("group", made["group"]["id"])


def check(what, volumes, text):
    """volumes are those of a group, and have the text, each with its own number."""
    for number, volume in enumerate(volumes):
        wanted = b"%s %d" % (text, number)
        expect("content of volume %d %s" % (number, what), pools.read(name(volume), 0, len(wanted)), wanted)


def write(volumes, text):
    for number, volume in enumerate(volumes):
        pools.write(name(volume), 0, b"%s %d" % (text, number))


def expect_members(what, group, volumes):
    expect("images in the RBD group " + what, pools.members("group-" + group), sorted(map(name, volumes)))


def groups(r: Resources):
    """A group with two volumes that were made in it and one that was put in. Its
    snapshot is an ordinary one of each; a group of the snapshot and a group of the
    group have the content of their moments; each goes away with its volumes."""
    kind = r.make("group_type", {"name": "scenario-consistent", "group_specs": {
        "consistent_group_snapshot_enabled": "<is> True"}})
    group = r.ready("group", r.make("group", {"name": "scenario", "group_type": kind, "volume_types": ["ceph"]}))
    volumes = [r.volume(1, group_id=group, volume_type="ceph") for _ in range(2)] + [r.volume(1)]
    r.c.call("PUT", r.where("group", group), {"group": {"add_volumes": volumes[2]}})
    r.ready("group", group)
    write(volumes, b"before")

    taken = r.ready("group_snapshot", r.make("group_snapshot", {"group_id": group}))
    write(volumes, b"since.")
    listed = r.c.get(r.c.cinder + "/snapshots/detail")["snapshots"]
    snapshots = {s["volume_id"]: s["id"] for s in listed if s["group_snapshot_id"] == taken}
    expect("volumes with a snapshot", sorted(snapshots), sorted(volumes))
    for volume, snapshot in snapshots.items():
        expect("snapshots of volume %s" % volume, pools.snapshots(name(volume)), ["snapshot-" + snapshot])
    expect_members("with a snapshot", group, volumes)

    of_snapshot = copy(r, group_snapshot_id=taken)
    sources = of_group(r, of_snapshot, "snapshot_id")
    first = [sources[snapshots[volume]] for volume in volumes]
    check("of the snapshot", first, b"before")
    expect_members("of the snapshot", of_snapshot, first)
    from_group = copy(r, source_group_id=group)
    sources = of_group(r, from_group, "source_volid")
    second = [sources[volume] for volume in volumes]
    check("of the group", second, b"since.")
    expect_members("of the group", from_group, second)

    # Sources first: what depends on them keeps working.
    r.away("group_snapshot", taken)
    for volume in volumes:
        expect("its snapshot afterwards", "snapshot-" + snapshots[volume] in pools.snapshots(name(volume)), False)
    r.away("group", group)
    for volume in volumes:
        r.gone("volume", volume)
    check("of the snapshot, without it", first, b"before")
    check("of the group, without it", second, b"since.")
    r.away("group", of_snapshot)
    r.away("group", from_group)
    expect("groups that are left", pools.groups(), [])
    cloud.until("pool and trash are empty", lambda: not pools.images() and not pools.trash(), 150, 1)
