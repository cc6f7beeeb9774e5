#!/usr/bin/python3
"""Prints the ids of public RAW images of a file, one for each name; makes those
that are not there.

usage: images.py FILE NAME...
"""
import sys

import cloud


def image(c, path, name):
    for found in c.get(c.glance + "/images?name=" + name)["images"]:
        return found["id"]
    made = c.post(c.glance + "/images", {
        "name": name, "disk_format": "raw", "container_format": "bare", "visibility": "public"})
    with open(path, "rb") as data:
        c.call("PUT", "%s/images/%s/file" % (c.glance, made["id"]), data=data,
               headers={"Content-Type": "application/octet-stream"})
    return made["id"]


if __name__ == "__main__":
    client = cloud.Cloud()
    for wanted in sys.argv[2:]:
        print(image(client, sys.argv[1], wanted))
