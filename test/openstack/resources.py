"""Volumes, snapshots, groups, backups, Glance images and servers through the public
APIs: what each waits for, and that it goes away again."""
import time

import cloud
from cloud import until

LEAF_FIRST = ("server", "backup", "group_snapshot", "group", "snapshot", "volume", "group_type", "type",
              "qos_specs", "image")
TIMELESS = ("group_type", "type", "qos_specs")  # what has no status
WRAPPED = {"type": "volume_type"}  # the others are called in a body as here


class Resources:
    """What a scenario makes in one cloud. clean removes what is still there."""

    def __init__(self, c):
        self.c = c
        self.made = []
        self.roots = {
            "volume": c.cinder + "/volumes", "snapshot": c.cinder + "/snapshots",
            "backup": c.cinder + "/backups", "type": c.cinder + "/types",
            "group": c.cinder + "/groups", "group_snapshot": c.cinder + "/group_snapshots",
            "group_type": c.cinder + "/group_types", "qos_specs": c.cinder + "/qos-specs",
            "image": c.glance + "/images", "server": c.nova + "/servers"}

    def where(self, kind, ident):
        return "%s/%s" % (self.roots[kind], ident)

    def make(self, kind, body):
        wrapped = {WRAPPED.get(kind, kind): body}
        answer = self.c.post(self.roots[kind], body if kind == "image" else wrapped)
        made = answer if kind == "image" else answer[WRAPPED.get(kind, kind)]
        self.made.append((kind, made["id"]))
        return made["id"]

    def show(self, kind, ident):
        answer = self.c.get(self.where(kind, ident))
        return answer if kind == "image" else next(iter(answer.values()))

    def status(self, kind, ident):
        try:
            return self.show(kind, ident)["status"]
        except cloud.Refused as refused:
            if refused.status == 404:
                return "gone"
            raise

    def ready(self, kind, ident, wanted="available", seconds=300):
        """Waits for a status; an error status ends it at once."""
        def reached():
            status = self.status(kind, ident)
            if status != wanted and (status.lower().startswith("error") or status == "gone"):
                raise AssertionError("%s %s is %s, not %s" % (kind, ident, status, wanted))
            return status == wanted
        until("%s %s becomes %s" % (kind, ident, wanted), reached, seconds)
        return ident

    def remove(self, kind, ident):
        """Asks for the removal of what may be gone, and does not wait."""
        try:
            if kind == "group":
                self.act(kind, ident, "delete", {"delete-volumes": True})
            else:
                self.c.delete(self.where(kind, ident))
        except cloud.Refused as refused:
            if refused.status != 404:
                raise

    def gone(self, kind, ident, seconds=240):
        def away():
            status = self.status(kind, ident)
            refused = kind in ("volume", "snapshot") and status == "available"
            if refused or status.startswith("error"):
                raise AssertionError("%s %s is %s, not gone" % (kind, ident, status))
            return status == "gone"
        until("%s %s is gone" % (kind, ident), away, seconds)

    def away(self, kind, ident, patience=30):
        """Removes it and waits. A Glance image whose last clone has just been deleted
        may be held for a moment: a driver may remove what is deleted in the background,
        but an operator must not have to wait for it."""
        def asked():
            try:
                self.remove(kind, ident)
                return True
            except cloud.Refused as refused:
                if kind != "image" or refused.status != 409:
                    raise
                return False
        until("%s %s may be deleted" % (kind, ident), asked, patience, 1)
        self.gone(kind, ident)

    def act(self, kind, ident, action, body):
        return self.c.post(self.where(kind, ident) + "/action", {action: body})

    def put_away(self, kind, ident):
        """Removes what may be gone or in error."""
        if kind in TIMELESS:
            return self.remove(kind, ident)
        status = self.status(kind, ident)
        if status == "error_deleting": # Cinder deletes it again only when told it is not
            self.act(kind, ident, "os-reset_status", {"status": "error"})
        if status != "gone":
            self.away(kind, ident, 150)

    def volume(self, size=1, **body):
        return self.ready("volume", self.make("volume", {"size": size, **body}))

    def snapshot(self, volume):
        return self.ready("snapshot", self.make("snapshot", {"volume_id": volume, "force": True}))

    def image(self, data, form="raw", **fields):
        ident = self.make("image", {"name": "scenario", "disk_format": form,
                                    "container_format": "bare", **fields})
        self.c.call("PUT", self.where("image", ident) + "/file", data=data,
                    headers={"Content-Type": "application/octet-stream"})
        return self.ready("image", ident, "active")

    def type(self, name, specs=None, **encryption):
        ident = self.make("type", {"name": name, "extra_specs": {"volume_backend_name": "ceph", **(specs or {})}})
        if encryption:
            self.c.post(self.where("type", ident) + "/encryption", {"encryption": encryption})
        return ident

    def clean(self, seconds=600):
        """Removes what is left, dependents first. What resists is told, and stays in made,
        and so is what there is no time for."""
        resisted, end = [], time.monotonic() + seconds
        for kind in LEAF_FIRST:
            for ident in [i for k, i in reversed(self.made) if k == kind]:
                try:
                    if time.monotonic() > end:
                        raise AssertionError("no time is left")
                    self.put_away(kind, ident)
                except (AssertionError, cloud.Refused) as why:
                    print("       left behind: %s %s: %s" % (kind, ident, why))
                    resisted.append((kind, ident))
        self.made = resisted
