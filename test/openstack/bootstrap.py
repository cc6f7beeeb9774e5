#!/usr/bin/python3
"""Fills a fresh cloud with what the tests take for granted. Running it again
changes nothing.

usage: bootstrap.py identity|resources   the first needs Keystone alone
"""
import sys

import cloud

SERVICES = (
    ("glance", "image", ""),
    ("cinder", "volumev3", "/v3/%(project_id)s"),
    ("placement", "placement", ""),
    ("nova", "compute", "/v2.1"),
)
FLAVORS = (("42", "nano", 160, 1), ("84", "micro", 192, 2))
QUOTA = {"volumes": 500, "snapshots": 500, "gigabytes": 5000, "backups": 200,
         "backup_gigabytes": 5000}


def ensure(c, kind, match, extra=None):
    """The id of the Keystone object that has the fields of match; made if there is none."""
    plural = c.keystone + "/" + kind + "s"
    for found in c.get(plural)[kind + "s"]:
        if all(found.get(key) == value for key, value in match.items()):
            return found["id"]
    return c.post(plural, {kind: {**match, **(extra or {})}})[kind]["id"]


def identity(c):
    roles = {name: ensure(c, "role", {"name": name}) for name in ("admin", "member", "reader", "service")}
    project = ensure(c, "project", {"name": "service"})
    for name, kind, path in SERVICES:
        user = ensure(c, "user", {"name": name}, {"password": cloud.PASSWORD})
        for role in ("admin", "service"):
            c.call("PUT", "%s/projects/%s/users/%s/roles/%s" % (c.keystone, project, user, roles[role]))
        service = ensure(c, "service", {"name": name, "type": kind})
        for interface in ("public", "internal", "admin"):
            ensure(c, "endpoint", {"service_id": service, "interface": interface,
                                   "url": cloud.url(name) + path, "region": "RegionOne"})


def resources(c):
    if "ceph" not in [t["name"] for t in c.get(c.cinder + "/types")["volume_types"]]:
        c.post(c.cinder + "/types", {"volume_type": {
            "name": "ceph", "extra_specs": {"volume_backend_name": "ceph"}}})
    c.call("PUT", "%s/os-quota-sets/%s" % (c.cinder, c.project), {"quota_set": QUOTA})
    have = [f["name"] for f in c.get(c.nova + "/flavors")["flavors"]]
    for ident, name, ram, disk in FLAVORS:
        if name not in have:
            c.post(c.nova + "/flavors", {"flavor": {
                "id": ident, "name": name, "ram": ram, "vcpus": 1, "disk": disk}})


if __name__ == "__main__":
    {"identity": identity, "resources": resources}[sys.argv[1]](cloud.Cloud())
