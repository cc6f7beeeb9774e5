"""Scenarios with guests: Nova attaches what Cinder made, and QEMU reads it."""
import os

import cloud
import pools
from lifecycle import expect, name
from resources import Resources


def guest(r: Resources):
    """The id of an image that boots."""
    with open(os.path.join(os.environ["CLOUD"], "guest.raw"), "rb") as data:
        return r.image(data.read())


def boot(r: Resources, volume=None, image=None):
    body = {"name": "scenario", "flavorRef": "42", "networks": "none"}
    if volume:
        body["block_device_mapping_v2"] = [{
            "boot_index": 0, "uuid": volume, "source_type": "volume",
            "destination_type": "volume", "delete_on_termination": False}]
    else:
        body["imageRef"] = image
    ident = r.ready("server", r.make("server", body), "ACTIVE", 240)
    says(r, ident, "guest: up")
    return ident


def says(r: Resources, server, text):
    """Waits until the guest has said something on its console."""
    def said():
        answer = r.c.post(r.where("server", server) + "/action", {"os-getConsoleOutput": {}})
        return text in answer["output"]
    cloud.until("the guest says %r" % text, said, 120, 1)


def attach(r: Resources, server, volume):
    r.c.post(r.where("server", server) + "/os-volume_attachments", {"volumeAttachment": {"volumeId": volume}})
    r.ready("volume", volume, "in-use")


def detach(r: Resources, server, volume, wanted="available"):
    r.c.delete("%s/os-volume_attachments/%s" % (r.where("server", server), volume))
    r.ready("volume", volume, wanted)


def server(r: Resources):
    """A guest boots from a volume; another volume is attached, grows while the guest
    looks, and has the guest's mark when it comes back."""
    root = r.volume(1, imageRef=guest(r))
    data = r.volume(1)
    ident = boot(r, volume=root)
    attach(r, ident, data)
    says(r, ident, "guest: marked vdb")
    r.c.post(r.where("volume", data) + "/action", {"os-extend": {"new_size": 2}})
    r.ready("volume", data, "in-use")
    says(r, ident, "guest: vdb has %d bytes" % (2 << 30))
    try:
        r.c.delete(r.where("volume", data))
        raise AssertionError("a volume in use was deleted")
    except cloud.Refused as refused:
        expect("status of that delete", refused.status, 400)
    detach(r, ident, data)
    expect("the guest's mark", pools.read(name(data), 0, 17), b"marked by a guest")
    r.away("server", ident)
    r.ready("volume", root)
    r.away("volume", data)
    r.away("volume", root)


def multiattach(r: Resources):
    """Two guests have one volume."""
    kind = r.type("scenario-multiattach", {"multiattach": "<is> True"})
    shared = r.volume(1, volume_type=kind)
    image = guest(r)
    both = [boot(r, image=image), boot(r, image=image)]
    for ident in both:
        attach(r, ident, shared)
        says(r, ident, "guest: vdb has %d bytes" % (1 << 30))
    expect("attachments", len(r.show("volume", shared)["attachments"]), 2)
    detach(r, both[0], shared, "in-use")
    detach(r, both[1], shared)
    for ident in both:
        r.away("server", ident)
    r.away("volume", shared)
