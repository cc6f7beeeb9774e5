#!/usr/bin/python3
"""Tells by its exit status whether the agents of a service can do work now.

usage: ready.py cinder|nova
       ready.py backend NAME      whether the scheduler knows that this one is up

A service's row says "up" for a minute after its last life. So an agent counts
only when it has reported since this program's first call for it, which leaves
the time in the cloud's directory; `ready.py cinder --anew` forgets that time.
"""
import datetime
import os
import sys
import time

import cloud

WANTED = {
    "cinder": {"cinder-volume", "cinder-scheduler", "cinder-backup"},
    "nova": {"nova-compute", "nova-scheduler", "nova-conductor"},
}


def since(service, anew):
    path = os.path.join(os.environ["CLOUD"], "tmp", "ready-" + service)
    if anew or not os.path.exists(path):
        with open(path, "w") as out:
            out.write(str(time.time()))
    with open(path) as text:
        return float(text.read())


def reported(row):
    when = datetime.datetime.fromisoformat(row["updated_at"] or "1970-01-01T00:00:00")
    return when.replace(tzinfo=datetime.timezone.utc).timestamp()


def main(service, anew):
    begin = since(service, anew)
    c = cloud.Cloud()
    rows = c.get(getattr(c, service) + "/os-services")["services"]
    up = {r["binary"] for r in rows if r["state"] == "up" and reported(r) > begin - 1}
    if not WANTED[service] <= up:
        return 1
    if service == "nova":
        return 0
    pools = c.get(c.cinder + "/scheduler-stats/get_pools?detail=true")["pools"]
    return 0 if any(p["capabilities"].get("backend_state", "up") == "up" for p in pools) else 1


def backend(name):
    c = cloud.Cloud()
    pools = c.get(c.cinder + "/scheduler-stats/get_pools?detail=true")["pools"]
    up = [p["name"] for p in pools if p["capabilities"].get("backend_state") == "up"]
    return 0 if any("@%s#" % name in known for known in up) else 1


if __name__ == "__main__":
    if sys.argv[1] == "backend":
        sys.exit(backend(sys.argv[2]))
    sys.exit(main(sys.argv[1], "--anew" in sys.argv))
