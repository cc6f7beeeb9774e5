"""What lies in the cloud's pools, as librados and librbd see it."""
import contextlib
import hashlib
import json
import os
import subprocess

import rados
import rbd

NAMESPACE = "rbdctl"
JOBS = "jobs"  # the record of jobs in it
POOLS = ("volumes", "images", "backups", "vms")
# What RBD itself keeps in a pool that has no images.
SYSTEM = {"rbd_directory", "rbd_info", "rbd_children", "rbd_group_directory", "rbd_trash",
          "rbd_trash_purge_schedule", "rbd_task", "rbd_mirroring", "rbd_mirror_leader", "rbd_mirror_snapshot_schedule",
          "rbd_purge_trash", "rbd_support"}


@contextlib.contextmanager
def opened(pool, namespace=""):
    with rados.Rados(conffile=os.environ["CEPH_CONF"], name="client.admin") as cluster:
        with cluster.open_ioctx(pool) as ioctx:
            ioctx.set_namespace(namespace)
            yield ioctx


def images(pool="volumes"):
    with opened(pool) as ioctx:
        return sorted(rbd.RBD().list(ioctx))


def trash(pool="volumes"):
    with opened(pool) as ioctx:
        return sorted((e["name"], e["id"]) for e in rbd.RBD().trash_list(ioctx))


def objects(pool="volumes", namespace=""):
    """The names of the objects in a namespace that RBD does not always keep there."""
    with opened(pool, namespace) as ioctx:
        return sorted(o.key for o in ioctx.list_objects() if o.key not in SYSTEM)


@contextlib.contextmanager
def image(name, pool="volumes", snapshot=None, read_only=True):
    with opened(pool) as ioctx, rbd.Image(ioctx, name, snapshot=snapshot, read_only=read_only) as found:
        yield found


def parent(name, pool="volumes"):
    """POOL/IMAGE@SNAPSHOT of a clone, "" of another image."""
    with image(name, pool) as found:
        try:
            return "%s/%s@%s" % found.parent_info()
        except rbd.ImageNotFound:
            return ""


def size(name):
    with image(name) as found:
        return found.size()


def snapshots(name, pool="volumes"):
    with image(name, pool) as found:
        return sorted(s["name"] for s in found.list_snaps())


def metadata(name, pool="volumes"):
    with image(name, pool) as found:
        return dict(found.metadata_list())


def groups(pool="volumes"):
    with opened(pool) as ioctx:
        return sorted(rbd.RBD().group_list(ioctx))


def members(group, pool="volumes"):
    """The names of the images in a group."""
    with opened(pool) as ioctx:
        return sorted(i["name"] for i in rbd.Group(ioctx, group).list_images())


def jobs(pool="volumes"):
    """The jobs of a pool as rbdctl lists them, for ten minutes after their end, too."""
    told = subprocess.run([os.environ["RBDCTL"], "jobs", "ls", "--pool", pool, "--output", "json"],
                          check=True, capture_output=True, timeout=120)
    return json.loads(told.stdout)["jobs"]


def digest(name, pool="volumes", snapshot=None, length=None):
    """SHA-256 of the first bytes of an image, all if there is no length."""
    with image(name, pool, snapshot) as found:
        end = min(found.size(), length or found.size())
        total = hashlib.sha256()
        for at in range(0, end, 4 << 20):
            total.update(found.read(at, min(4 << 20, end - at)))
        return total.hexdigest()


def write(name, at, data):
    with image(name, read_only=False) as found:
        found.write(data, at)
        found.flush()


def read(name, at, length, pool="volumes"):
    with image(name, pool) as found:
        return found.read(at, length)


def state(pool="volumes"):
    """All that a change of drivers must not touch: each image with size, features,
    parent, metadata, content, and snapshots with their protection and content."""
    found = {}
    for name in images(pool):
        with image(name, pool) as handle:
            found[name] = {
                "id": handle.id(), "size": handle.size(), "features": handle.features(),
                "snapshots": sorted((s["id"], s["name"], s["size"], handle.is_protected_snap(s["name"]))
                                    for s in handle.list_snaps()),
                "metadata": sorted(handle.metadata_list())}
        found[name]["parent"] = parent(name, pool)
        found[name]["digests"] = {s: digest(name, pool, s) for s in [None, *snapshots(name, pool)]}
    return found


def remains(keep=()):
    """A line for each thing in the pools that should be gone when Cinder has no
    volumes, snapshots and backups and Nova no servers; keep are Glance's images."""
    found = []
    for pool in POOLS:
        found += ["image %s/%s" % (pool, name) for name in images(pool) if name not in keep]
        found += ["trash %s/%s" % (pool, name) for name, _ in trash(pool)]
        found += ["record %s/%s/%s" % (pool, NAMESPACE, name) for name in objects(pool, NAMESPACE) if name != JOBS]
    found += ["job %s of %s" % (j["kind"], j["subject"]) for j in jobs() if j["state"] in ("queued", "running")]
    # Without images and trash there is nothing that an object could belong to.
    if not found:
        found += ["object %s/%s" % (pool, name)
                  for pool in POOLS if pool != "images" for name in objects(pool)]
    return found
