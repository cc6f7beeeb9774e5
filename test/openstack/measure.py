#!/usr/bin/python3
"""Measures either driver under cinder-volume, in the same cloud: a volume from a RAW image,
and its deletion. The table goes into a file.

usage: measure.py FILE   it begins and ends with the upstream driver

The times of a step within Cinder are those of cinder-volume's log, which tells when a
task begins and ends; the rest is by this client's clock, which asks every 20 ms.
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

COUNT = 15  # volumes in a turn
DRIVERS = ("upstream", "sidecar")
TURNS = DRIVERS + DRIVERS[::-1]  # what drifts is the same for either

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


def cell(took):
    """Median, and the least and most."""
    return "%.0f ms (%.0f–%.0f)" % tuple(1000 * f(took) for f in (statistics.median, min, max))


def table(took):
    yield "|  | upstream driver | sidecar | sidecar / upstream |"
    yield "| --- | --- | --- | --- |"
    for what in (CREATED, IN_TASK, IN_DRIVER, DELETED):
        theirs, ours = took[what, "upstream"], took[what, "sidecar"]
        ratio = statistics.median(ours) / statistics.median(theirs)
        yield "| %s | %s | %s | %.2f |" % (what, cell(theirs), cell(ours), ratio)
        if what == IN_DRIVER:
            yield "| %s |  | %s |  |" % (IN_SIDECAR, cell(took[IN_SIDECAR, "sidecar"]))


def main(path):
    took, current = {}, "upstream"
    for number, driver in enumerate(TURNS, 1):
        if driver != current:
            switch(driver)
            current = driver
        turn(driver, took)
        print("turn %d of %d, driver %s: done" % (number, len(TURNS), driver), flush=True)
    with open(path, "w") as out:
        out.write("""# Under Cinder

Made by `make bench-openstack`. %d volumes of 1 GiB for each driver, from a RAW image of
4 MiB in Ceph, one at a time, in one cloud on one machine of %d CPUs; the turns were %s.
Median, least and most. cinder-volume writes its log in full, and is started anew when
the driver changes. A volume is gone when Cinder says so: the sidecar has moved it to the
trash by then, and removes its data, of which these have none, in the background.

%s
""" % (COUNT * TURNS.count("sidecar"), os.cpu_count(), ", ".join(TURNS), "\n".join(table(took))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
