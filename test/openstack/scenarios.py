#!/usr/bin/python3
"""Scenarios through the cloud's public APIs, each checked from outside with librbd.

usage: scenarios.py DRIVER [NAME...]   DRIVER is upstream or sidecar; without names all

Each scenario removes what it made. The last line counts; the exit status is 0 when
all passed. What only the sidecar promises is not asked of the upstream driver.
"""
import sys
import time
import traceback

import cloud
import content
import groups
import lifecycle
import migrate
import servers
import stress
from resources import Resources

SCENARIOS = {
    "chain": lifecycle.chain,
    "convert": content.convert,
    "upload": content.upload,
    "backup": content.backup,
    "encrypted": content.encrypted,
    "manage": lifecycle.manage,
    "revert": lifecycle.revert,
    "groups": groups.groups,
    "migrate": migrate.migrate,
    "server": servers.server,
    "multiattach": servers.multiattach,
    "race": stress.race,
    "at-once": stress.at_once,
    "crash": stress.crash,
}
# What cannot hold with the upstream driver, or is about the sidecar itself. Of a chain
# that goes parents first the upstream driver leaves a part, which keeps the image.
SIDECAR_ONLY = {"chain", "groups", "migrate", "race", "crash"}


def main(driver, names):
    known = [n for n in SCENARIOS if driver == "sidecar" or n not in SIDECAR_ONLY]
    unknown = set(names) - set(known)
    if unknown:
        print("scenarios.py: no scenario %s with driver %s" % (", ".join(sorted(unknown)), driver))
        return 2
    failed = 0
    for name in names or known:
        began = time.monotonic()
        r = Resources(cloud.Cloud())
        try:
            SCENARIOS[name](r)
            verdict = "ok  "
        except Exception:  # whatever it is, the next scenario runs
            traceback.print_exc(file=sys.stdout)
            failed += 1
            verdict = "FAIL"
        finally:
            r.clean()
        print("%s %-12s %5.1f s" % (verdict, name, time.monotonic() - began), flush=True)
    count = len(names or known)
    print("scenarios with driver %s: %d of %d passed" % (driver, count - failed, count))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
