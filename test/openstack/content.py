"""Scenarios about what is copied rather than cloned."""
import hashlib
import os
import subprocess
import tempfile

import pools
from lifecycle import MIB, expect, name, pattern
from resources import Resources


def qcow2(data):
    """The data as a QCOW2 image."""
    with tempfile.TemporaryDirectory(dir=os.path.join(os.environ["CLOUD"], "tmp")) as work:
        with open(work + "/raw", "wb") as raw:
            raw.write(data)
        subprocess.run(["qemu-img", "convert", "-f", "raw", "-O", "qcow2", work + "/raw", work + "/qcow2"],
                       check=True)
        with open(work + "/qcow2", "rb") as image:
            return image.read()


def convert(r: Resources):
    """A volume of an image that can't be cloned: converted, and as large as wanted."""
    data = pattern(5 * MIB)
    image = r.image(qcow2(data), "qcow2")
    volume = r.volume(1, imageRef=image)
    expect("parent", pools.parent(name(volume)), "")
    expect("size", pools.size(name(volume)), 1 << 30)
    expect("content", pools.read(name(volume), 0, len(data)), data)
    r.away("volume", volume)
    r.away("image", image)


def upload(r: Resources):
    """A volume becomes an image with the same bytes, and a volume of that a clone."""
    data = pattern(3 * MIB)
    volume = r.volume(1)
    pools.write(name(volume), 8 * MIB, data)
    answer = r.act("volume", volume, "os-volume_upload_image", {
        "image_name": "scenario-upload", "disk_format": "raw", "container_format": "bare"})
    image = answer["os-volume_upload_image"]["image_id"]
    r.made.append(("image", image))
    r.ready("image", image, "active")
    r.ready("volume", volume)
    expect("the image's content", pools.digest(image, "images"), pools.digest(name(volume)))
    clone = r.volume(1, imageRef=image)
    expect("content of a clone of it", pools.read(name(clone), 8 * MIB, len(data)), data)
    for gone in (volume, clone):
        r.away("volume", gone)
    r.away("image", image)


def backup(r: Resources):
    """A full and an incremental backup, both restored."""
    volume = r.volume(1)
    pools.write(name(volume), 0, b"full")
    full = r.ready("backup", r.make("backup", {"volume_id": volume, "name": "full"}))
    r.ready("volume", volume)
    pools.write(name(volume), 0, b"incr")
    incremental = r.ready("backup", r.make("backup", {
        "volume_id": volume, "name": "incremental", "incremental": True}))
    r.ready("volume", volume)
    for made, wanted in ((full, b"full"), (incremental, b"incr")):
        target = r.volume(1)
        r.c.post(r.where("backup", made) + "/restore", {"restore": {"volume_id": target}})
        r.ready("backup", made)
        r.ready("volume", target)
        expect("content of the restored volume", pools.read(name(target), 0, 4), wanted)
        r.away("volume", target)
    r.away("backup", incremental)
    r.away("backup", full)
    r.away("volume", volume)


def encrypted(r: Resources):
    """A LUKS volume, its clone, its snapshot's clone and its growth: each begins with
    a whole LUKS header, the very bytes of its source's."""
    kind = r.type("scenario-luks", provider="luks", cipher="aes-xts-plain64",
                  key_size=256, control_location="front-end")
    volume = r.volume(1, volume_type=kind)
    header = pools.read(name(volume), 0, 2 * MIB)
    expect("the first bytes", header[:6], b"LUKS\xba\xbe")
    whole = hashlib.sha256(header).hexdigest()
    clone = r.volume(1, source_volid=volume, volume_type=kind)
    expect("the clone's header", pools.digest(name(clone), length=2 * MIB), whole)
    snapshot = r.snapshot(volume)
    third = r.volume(1, snapshot_id=snapshot, volume_type=kind)
    expect("the snapshot's clone's header", pools.digest(name(third), length=2 * MIB), whole)
    r.act("volume", clone, "os-extend", {"new_size": 2})
    r.ready("volume", clone)
    expect("the header after growing", pools.digest(name(clone), length=2 * MIB), whole)
    expect("the size after growing", pools.size(name(clone)) >= 2 << 30, True)
    r.away("volume", third)
    r.away("snapshot", snapshot)
    r.away("volume", clone)
    r.away("volume", volume)
