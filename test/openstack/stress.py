"""Scenarios that hurry, or hurt."""
import os
import signal
import subprocess
import threading

import cloud
import pools
from lifecycle import MIB, expect, name, pattern
from resources import Resources

ROUNDS = int(os.environ.get("ROUNDS", "20"))


def pair(r: Resources):
    """A volume and its clone; the clone is deleted and at once the source. How they
    ended: their last status, "gone" when all is well."""
    source = r.volume(1)
    clone = r.volume(1, source_volid=source)
    for ident in (clone, source):
        r.remove("volume", ident)
    ended = []
    for ident in (clone, source):
        try:
            r.gone("volume", ident)
            ended.append("gone")
        except AssertionError:
            ended.append(r.status("volume", ident))
    return ended


def rounds(r: Resources, count, bad_ones=None):
    """How the pairs of so many rounds ended that did not end well; it ends after so many
    bad ones."""
    bad = []
    for _ in range(count):
        ended = pair(r)
        if ended != ["gone", "gone"]:
            bad.append(ended)
        if len(bad) == bad_ones:
            break
    return bad


def race(r: Resources):
    """Deleting a clone and at once its source ends well every time."""
    expect("rounds that did not end well", rounds(r, ROUNDS, 3), [])
    print("       %d of %d times both were gone" % (ROUNDS, ROUNDS))


def at_once(r: Resources):
    """Many volumes of one image at the same time, and all deleted at the same time."""
    data = pattern(4 * MIB)
    image = r.image(data)
    made = [r.make("volume", {"size": 1, "imageRef": image}) for _ in range(16)]
    for ident in made:
        r.ready("volume", ident)
        expect("content of %s" % ident, pools.read(name(ident), 0, len(data)), data)
    for ident in made:
        r.remove("volume", ident)
    for ident in made:
        r.gone("volume", ident)
    r.away("image", image)


def crash(r: Resources):
    """The sidecar is killed while it works: Cinder's requests are made again against
    the next one, and every volume is what it should be."""
    data = pattern(4 * MIB)
    image = r.image(data)
    made = []

    def ask():
        for _ in range(12):
            made.append(r.make("volume", {"size": 1, "imageRef": image}))
    asking = threading.Thread(target=ask)
    asking.start()
    for _ in range(3):
        restart_sidecar()
    asking.join()
    expect("volumes asked for", len(made), 12)
    for ident in made:
        r.ready("volume", ident)
        expect("content of %s" % ident, pools.read(name(ident), 0, len(data)), data)
    for ident in made:
        r.remove("volume", ident)
    restart_sidecar()
    for ident in made:
        r.gone("volume", ident)
    r.away("image", image, 150)  # a purge that was to come may have gone with the killed one


def ended(process):
    """With all its threads: until the last of them has gone it has its sockets, though
    the first, whose state this is, may be a zombie already."""
    try:
        with open("/proc/%d/stat" % process) as stat:
            state, *others = stat.read().rpartition(") ")[2].split()
    except FileNotFoundError:
        return True
    return state in "ZX" and int(others[16]) <= 1  # proc(5): state, num_threads


def restart_sidecar():
    """SIGKILL, and a new one."""
    with open(os.path.join(os.environ["CLOUD"], "run", "sidecar.pid")) as text:
        process = int(text.read().split()[0])
    os.kill(process, signal.SIGKILL)
    cloud.until("the sidecar has ended", lambda: ended(process), 60, 0.02)
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([os.path.join(here, "sidecar.sh"), os.environ["CLOUD"]], check=True)
