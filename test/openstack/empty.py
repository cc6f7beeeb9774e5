#!/usr/bin/python3
"""Fails, naming what is left, unless Cinder and Nova have nothing more, and all
pools are empty but for Glance's images: no image, no trash, no record of rbdctl's,
no object that belongs to nothing, and nothing for `rbdctl fsck` to find. Background
work has a while to come to its end.

usage: empty.py [--wait SECONDS] [--no-fsck]
"""
import argparse
import json
import os
import subprocess
import sys
import time

import cloud
import pools


def rows(c):
    """A line for each thing that Cinder or Nova still has, whoever's it is."""
    found = []
    of_cinder = ("volumes", "snapshots", "backups", "groups", "group_snapshots")
    for root, kinds in ((c.cinder, of_cinder), (c.nova, ("servers",))):
        for kind in kinds:
            listed = c.get("%s/%s/detail?all_tenants=1" % (root, kind))[kind]
            found += ["%s: %s %s" % (kind, row["id"], row["status"]) for row in listed]
    return found


def findings():
    done = subprocess.run([os.environ["RBDCTL"], "fsck", "--output", "json"],
                          capture_output=True, text=True, timeout=120, check=False)
    try:
        found = json.loads(done.stdout)["findings"]
    except (ValueError, KeyError):
        return ["fsck itself: exit status %d, %s" % (done.returncode, done.stderr.strip())]
    return ["fsck: %s" % json.dumps(f) for f in found or []]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--wait", type=int, default=150)
    options.add_argument("--no-fsck", action="store_true")
    chosen = options.parse_args()
    c = cloud.Cloud()
    keep = {i["id"] for i in c.get(c.glance + "/images?limit=1000")["images"]}
    end = time.monotonic() + chosen.wait
    left = rows(c) + pools.remains(keep)
    while left and time.monotonic() < end:
        time.sleep(2)
        left = rows(c) + pools.remains(keep)
    if not chosen.no_fsck:
        left += findings()
    for line in left:
        print("LEFT   " + line)
    print("pools, trash and records: %s" % ("%d things are left" % len(left) if left else "empty"))
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
