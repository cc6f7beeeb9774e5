#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # variables of, and for, the other parts
# Sourced: the Ceph cluster, its pools and its entities, all made by rbdctl.

# ceph_up brings up the lab and everything in it that the services need.
ceph_up() {
	"$rbdctl" lab up --dir "$lab" --no-libvirt --fast-mon
	[[ -e $cloud/ceph-ready ]] && return
	"$rbdctl" pools init
	"$rbdctl" keyring issue
	local service
	for service in glance cinder cinder-backup nova; do
		# Where ceph.conf looks, for the services; and where os-brick looks whatever
		# ceph.conf says: see etc_ceph in up.sh.
		ceph_keyring "$lab" "$service"
		ceph_keyring "$etc/ceph" "$service"
	done
	cp "$conf" "$etc/ceph/ceph.conf"
	touch "$cloud/ceph-ready"
}

ceph_keyring() {
	"$rbdctl" keyring export --dir "$1" --owner root --group root "client.$2" >/dev/null
}

# ceph_secrets gives libvirt the keys of client.cinder and client.nova.
ceph_secrets() {
	"$rbdctl" secret register --uri "$libvirt_uri"
	"$rbdctl" secret verify --uri "$libvirt_uri"
}

# secret_of prints the UUID of the libvirt secret of an entity.
secret_of() {
	"$rbdctl" secret ls --uri "$libvirt_uri" --output json |
		/usr/bin/python3 -c 'import json, sys
for s in json.load(sys.stdin)["secrets"]:
    if s["usage"].endswith("/" + sys.argv[1]): print(s["uuid"])' "$1"
}
