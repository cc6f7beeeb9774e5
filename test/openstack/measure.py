#!/usr/bin/python3
"""Measures either driver under the same cinder-volume, the two in turn: a volume from a
RAW image, and its deletion. The tables go into a file.

usage: measure.py FILE   it begins with the upstream driver, and ends with the sidecar

The times of a step within Cinder are those of cinder-volume's log, which tells when a
task begins and ends; the rest is by this client's clock, which asks every 20 ms.
COUNT is how many volumes each driver makes in a turn, TURNS how many turns it has.
"""
import datetime
import os
import re
import statistics
import sys
import time

import cloud
from both import nothing_left, switch
from lifecycle import MIB, pattern
from resources import Resources

COUNT = int(os.environ.get("COUNT", "15"))
TURNS = int(os.environ.get("TURNS", "2"))
DRIVERS = ("upstream", "sidecar")

CREATED = "from the request until the volume is available"
IN_TASK = "of it in cinder-volume: the task that makes it"
IN_DRIVER = "of that in the driver: `clone_image`"
IN_SIDECAR = "of that in the sidecar: PUT, until the answer"
DELETED = "from the request until the volume is gone"

# How cinder-volume tells that something begins, and that it has ended; of the driver's call
# it tells what comes just before (cinder/volume/flows/manager/create_volume.py:1071) and
# just after it (cinder/volume/volume_utils.py:1140).
TASK = (re.compile(r"CreateVolumeFromSpecTask;volume:create' \(([-0-9a-f]+)\) transitioned into state 'RUNNING'"),
        re.compile(r"CreateVolumeFromSpecTask;volume:create' \(([-0-9a-f]+)\) transitioned into state 'SUCCESS'"))
CLONE = (re.compile(r"Cloning ([-0-9a-f]+) from image"), re.compile(r"Marking volume ([-0-9a-f]+) as bootable"))
PUT = re.compile(r"method=PUT path=/v1/volumes/[-0-9a-f]+ status=201 seconds=([0-9.]+)")


class Log:
    """What a service writes into its log from now on."""

    def __init__(self, service):
        self.path = os.path.join(os.environ["CLOUD"], "log", service + ".log")
        self.start = os.path.getsize(self.path) if os.path.exists(self.path) else 0

    def lines(self):
        with open(self.path, errors="replace") as log:
            log.seek(self.start)
            yield from log


def spans(log, begins, ends):
    """Seconds from each line that tells a beginning to the one that tells its end."""
    began, took = {}, []
    for line in log.lines():
        begin, end = begins.search(line), ends.search(line)
        if begin:
            began[begin.group(1)] = stamp(line)
        elif end and end.group(1) in began:
            took.append(stamp(line) - began.pop(end.group(1)))
    return took


def stamp(line):
    """When a line was written, in seconds."""
    return datetime.datetime.fromisoformat(line[:23]).timestamp()


def until_is(r, ident, wanted):
    def reached():
        status = r.status("volume", ident)
        if status.startswith("error"):
            raise AssertionError("volume %s is %s, not %s" % (ident, status, wanted))
        return status == wanted
    cloud.until("volume %s is %s" % (ident, wanted), reached, 300, 0.02)


def turn(driver, took):
    """One driver makes its volumes, one at a time, and deletes them."""
    r = Resources(cloud.Cloud())
    image = r.image(pattern(4 * MIB))
    r.away("volume", r.volume(1, imageRef=image))  # whatever only the first one does
    volume_log, sidecar_log = Log("cinder-volume"), Log("sidecar")
    made = []
    for _ in range(COUNT):
        began = time.monotonic()
        made.append(r.make("volume", {"size": 1, "imageRef": image}))
        until_is(r, made[-1], "available")
        took.setdefault((CREATED, driver), []).append(time.monotonic() - began)
    time.sleep(1)  # until the logs are written
    told = {IN_TASK: spans(volume_log, *TASK), IN_DRIVER: spans(volume_log, *CLONE)}
    if driver == "sidecar":
        told[IN_SIDECAR] = [float(m.group(1)) for m in map(PUT.search, sidecar_log.lines()) if m]
    for what, found in told.items():
        if len(found) != COUNT:
            raise AssertionError("%s: %d in the log, of %d volumes" % (what, len(found), COUNT))
        took.setdefault((what, driver), []).extend(found)
    for ident in made:
        began = time.monotonic()
        r.remove("volume", ident)
        until_is(r, ident, "gone")
        took.setdefault((DELETED, driver), []).append(time.monotonic() - began)
    r.away("image", image, 150)
    cloud.until("pool and trash are empty", nothing_left, 150, 1)


def table(took):
    """Medians, and the ratio of the sidecar's to the upstream driver's."""
    yield "|  | upstream driver | sidecar | sidecar / upstream |"
    yield "| --- | --- | --- | --- |"
    for what in (CREATED, IN_TASK, IN_DRIVER, DELETED):
        theirs, ours = (statistics.median(took[what, driver]) * 1000 for driver in DRIVERS)
        yield "| %s | %.0f ms | %.0f ms | %.2f |" % (what, theirs, ours, ours / theirs)
        if what == IN_DRIVER:
            ours = statistics.median(took[IN_SIDECAR, "sidecar"]) * 1000
            yield "| %s |  | %.0f ms | %.2f of `clone_image` |" % (IN_SIDECAR, ours, ours / theirs)


def main(path):
    took = {}
    for number in range(TURNS):
        for driver in DRIVERS:
            if number or driver != "upstream":
                switch(driver)
            turn(driver, took)
            print("driver %s: turn %d of %d done" % (driver, number + 1, TURNS), flush=True)
    with open(path, "w") as out:
        out.write("""# Under Cinder

Made by `make bench-openstack`. Medians of %d volumes of 1 GiB for each driver, from a RAW
image in Ceph, one at a time; %d turns each, in one cloud on one machine of %d CPUs. Only
the ratios can be compared with those of another run.

%s
""" % (COUNT * TURNS, TURNS, os.cpu_count(), "\n".join(table(took))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
