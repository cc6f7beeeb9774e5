"""The scenario of volumes that move to another pool, which second.sh makes for it."""
import os
import subprocess

import cloud
import pools
from lifecycle import MIB, expect, name, pattern
from resources import Resources
from servers import attach, boot, detach, guest, says

SECOND = "volumes-second"


def second_backend(what):
    here = os.path.dirname(os.path.abspath(__file__))
    subprocess.run([os.path.join(here, "second.sh"), os.environ["CLOUD"], what], check=True)


def full_name(r: Resources, backend):
    """HOST@BACKEND#POOL of a backend, as `cinder get-pools` shows it."""
    listed = r.c.get(r.c.cinder + "/scheduler-stats/get_pools")["pools"]
    return next(p["name"] for p in listed if "@%s#" % backend in p["name"])


def migrate_to(r: Resources, volume, backend):
    """`cinder migrate`; returns how that ended."""
    r.act("volume", volume, "os-migrate_volume", {"host": full_name(r, backend)})

    def ended():
        status = r.show("volume", volume)["migration_status"]
        return status if status in ("success", "error") else None
    return cloud.until("the migration of %s has ended" % volume, ended, 300)


def retype(r: Resources, volume, kind, policy):
    """`cinder retype`; it ends with the new type."""
    r.act("volume", volume, "os-retype", {"new_type": kind, "migration_policy": policy})
    r.ready("volume", volume)
    expect("type after the retype", r.show("volume", volume)["volume_type"], kind)


def expect_in(r: Resources, volume, backend, data):
    """The volume is one of that backend, and nothing of it is in the other's pool."""
    pool, other = ("volumes", SECOND) if backend == "ceph" else (SECOND, "volumes")
    expect("backend", r.show("volume", volume)["os-vol-host-attr:host"], full_name(r, backend))
    expect("its image in " + other, name(volume) in pools.images(other), False)
    expect("content in " + pool, pools.read(name(volume), 0, len(data), pool), data)
    return pools.metadata(name(volume), pool)


def jobs(volume):
    """The pools that jobs of the sidecar's have moved it to, and how those ended."""
    return [(j["target"], j["state"]) for pool in ("volumes", SECOND) for j in pools.jobs(pool)
            if j["kind"] == "migrate" and j["subject"] == "%s/%s" % (pool, name(volume))]


def migrate(r: Resources):
    """Volumes move to another pool and back: by jobs of the sidecar's, and those that
    a guest has by Nova."""
    second_backend("begin")
    try:
        r.type("scenario-second", {"volume_backend_name": "second"})
        free(r)
        attached(r)
        cloud.until("the other pool's trash is empty", lambda: not pools.trash(SECOND), 150, 1)
    finally:
        r.clean()  # while its services run
        second_backend("end")


def free(r: Resources):
    """A volume with a clone goes by a retype, gets limits, and comes back by a
    migration; with a snapshot Cinder lets it go nowhere."""
    limits = r.make("qos_specs", {"name": "scenario-limits", "consumer": "back-end", "total_iops_sec": "5000"})
    limited = r.type("scenario-limited", {"volume_backend_name": "<or> ceph <or> second"})
    r.c.get("%s/associate?vol_type_id=%s" % (r.where("qos_specs", limits), limited))
    data = pattern(6 * MIB)
    volume = r.volume(1)
    pools.write(name(volume), 0, data)
    clone = r.volume(1, source_volid=volume)

    retype(r, volume, "scenario-second", "on-demand")
    expect_in(r, volume, "second", data)
    retype(r, volume, "scenario-limited", "never")
    before = expect_in(r, volume, "second", data)
    expect("limit", before.get("conf_rbd_qos_iops_limit"), "5000")
    expect("end of the migration", migrate_to(r, volume, "ceph"), "success")
    expect("metadata after the migration", expect_in(r, volume, "ceph", data), before)
    expect("jobs", jobs(volume), [(SECOND, "done"), ("volumes", "done")])
    expect("content of its clone", pools.read(name(clone), 0, len(data)), data)

    snapshot = r.snapshot(volume)
    try:
        migrate_to(r, volume, "second")
        raise AssertionError("a volume with a snapshot was migrated")
    except cloud.Refused as refused:
        expect("status of that migration", refused.status, 400)
    r.away("snapshot", snapshot)
    r.away("volume", clone)
    r.away("volume", volume)


def attached(r: Resources):
    """A guest's volume is exchanged by Nova while the guest runs, and then has the name
    that Cinder gave the copy; while the guest is shut off it stays."""
    r.type("scenario-either", {"volume_backend_name": "<or> ceph <or> second"})
    volume = r.volume(1)
    retype(r, volume, "scenario-either", "never")
    server = boot(r, image=guest(r))
    attach(r, server, volume)
    says(r, server, "guest: marked vdb")
    expect("end of the migration in use", migrate_to(r, volume, "second"), "success")
    image = name(r.show("volume", volume)["os-vol-mig-status-attr:name_id"])
    expect("images in " + SECOND, pools.images(SECOND), [image])
    cloud.until("the other pool is empty", lambda: not pools.images(), 60)
    expect("the guest's mark", pools.read(image, 0, 17, SECOND), b"marked by a guest")

    r.act("server", server, "os-stop", None)
    r.ready("server", server, "SHUTOFF")
    r.act("volume", volume, "os-retype", {"new_type": "ceph", "migration_policy": "on-demand"})
    r.ready("volume", volume, "in-use")
    expect("type of the volume that stays", r.show("volume", volume)["volume_type"], "scenario-either")
    expect("images in " + SECOND, pools.images(SECOND), [image])
    detach(r, server, volume)
    r.away("server", server)
    r.away("volume", volume)
    cloud.until("both pools are empty", lambda: not pools.images() and not pools.images(SECOND), 60)
