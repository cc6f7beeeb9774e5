#!/usr/bin/python3
"""Both drivers on one pool: what each leaves behind when a clone and at once its
source are deleted, and that changing from one to the other changes nothing on disk.

usage: both.py   with the upstream driver; it ends with the sidecar
"""
import os
import subprocess
import sys

import rbd

import cloud
import pools
import stress
from lifecycle import MIB, expect, name, pattern
from resources import Resources


def switch(driver):
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([os.path.join(here, "switch.sh"), os.environ["CLOUD"], driver], check=True)


def switched(driver):
    """Changes the driver and demands that the pool is what it was, byte for byte."""
    before = pools.state()
    switch(driver)
    after = pools.state()
    for image in sorted(set(before) | set(after)):
        expect("%s after the change to %s" % (image, driver), after.get(image), before.get(image))
    print("changed to driver %s: %d images are as they were" % (driver, len(after)))


def nothing_left():
    return not pools.images() and not pools.trash()


def leaves(driver, rounds, patience):
    """Deletes clones and at once their sources; how the volumes ended that did not end
    well, and what is still in the pool and its trash after so many seconds."""
    r = Resources(cloud.Cloud())
    bad = stress.rounds(r, rounds)
    try:
        cloud.until("pool and trash are empty", nothing_left, patience, 1)
    except AssertionError:
        pass  # what is there is the answer
    left = pools.images() + ["trash: " + n for n, _ in pools.trash()]
    for image in pools.images():
        left += ["%s@%s" % (image, s) for s in pools.snapshots(image)]
    print("driver %s, %d times a clone and at once its source deleted: %d times a volume "
          "did not go; %d things left" % (driver, rounds, len(bad), len(left)))
    for what in left:
        print("       left: " + what)
    return r, bad, left


def known_debris():
    """What the upstream driver is known to leave of such a pair: the source under a name
    that Cinder does not ask for any more, with the protected snapshot of the clone that is
    gone."""
    found = []
    for image in pools.images():
        if not image.endswith(".deleted"):
            continue
        with pools.image(image) as opened:
            found += ["%s@%s" % (image, s["name"]) for s in opened.list_snaps()
                      if s["name"].endswith(".clone_snap") and opened.is_protected_snap(s["name"])]
    return found


def wipe(r):
    """Ends what the upstream driver could not: by hand, as an operator has to."""
    r.clean()
    for kind, ident in r.made:
        if r.status(kind, ident) != "gone":
            r.act(kind, ident, "os-reset_status", {"status": "error"})
            r.act(kind, ident, "os-force_delete", {})
            r.gone(kind, ident)
    for _ in range(5):  # clones go before what they were cloned from
        for image in pools.images():
            try:
                with pools.image(image, read_only=False) as found:
                    for snapshot in list(found.list_snaps()):
                        if found.is_protected_snap(snapshot["name"]):
                            found.unprotect_snap(snapshot["name"])
                        found.remove_snap(snapshot["name"])
                with pools.opened("volumes") as ioctx:
                    rbd.RBD().remove(ioctx, image)
            except rbd.Error:
                continue  # its turn comes
    expect("what is in the pool after cleaning by hand", pools.images(), [])


def fill(r, data):
    """One of each kind of volume: from an image, with a snapshot, of the snapshot, of a
    volume, and empty. In the order in which they can be removed."""
    image = r.image(data)
    first = r.volume(1, imageRef=image)
    snapshot = r.snapshot(first)
    second = r.volume(1, snapshot_id=snapshot)
    third = r.volume(2, source_volid=second)
    empty = r.volume(1)
    pools.write(name(empty), 0, data[:MIB])
    return [("volume", empty), ("volume", third), ("volume", second),
            ("snapshot", snapshot), ("volume", first), ("image", image)]


def changes():
    """Each driver goes on with what the other made."""
    r = Resources(cloud.Cloud())
    data = pattern(5 * MIB)
    of_upstream = fill(r, data)
    switched("sidecar")
    clone = r.volume(2, source_volid=of_upstream[1][1])
    expect("content of a clone of the other's clone", pools.read(name(clone), 0, len(data)), data)
    for kind, ident in of_upstream[:3]:
        r.away(kind, ident)
    expect("content after its sources are gone", pools.read(name(clone), 0, len(data)), data)
    r.away("volume", clone)
    for kind, ident in of_upstream[3:]:
        r.away(kind, ident, 150)  # how soon is the scenarios' business
    cloud.until("pool and trash are empty", nothing_left, 150, 1)
    of_sidecar = fill(r, data)
    switched("upstream")
    for kind, ident in of_sidecar:
        r.away(kind, ident)
    expect("what the upstream driver left of the sidecar's volumes", pools.images(), [])


def main():
    r, bad, left = leaves("upstream", stress.ROUNDS // 4 or 1, 5)
    debris = known_debris()
    wipe(r)
    print("driver upstream: %d of them are as they are known of it, such as %s" % (len(debris), debris[:1]))
    if not bad or not debris:
        print("the upstream driver left no such thing: this run shows no difference")
        return 1
    changes()
    switched("sidecar")
    r, bad, left = leaves("sidecar", stress.ROUNDS, 150)
    r.clean()
    return 1 if bad or left else 0


if __name__ == "__main__":
    sys.exit(main())
