#!/usr/bin/env bash
# Takes down what up.sh brought up in DIR, the guests first, and removes DIR; with
# --keep only the processes end. It is success when nothing is there.
#
# usage: down.sh DIR [--keep]
# shellcheck disable=SC2154 # the variables come from lib
set -euo pipefail

cloud=${1:?usage: down.sh DIR [--keep]}
[[ -d $cloud/run ]] || exit 0
parts=$(dirname "$0")/lib
# shellcheck source=/dev/null
. "$parts/process.sh"
# shellcheck source=/dev/null
. "$parts/cloud.sh"

exec 9>"$cloud/lock"
flock -n 9 || {
	echo "down.sh: another up.sh or down.sh works on $cloud" >&2
	exit 1
}

# Guests are nobody's children: only libvirt can end them.
if running libvirtd; then
	virsh=(timeout 20 virsh --quiet --connect "$libvirt_uri")
	for guest in $("${virsh[@]}" list --name); do "${virsh[@]}" destroy "$guest" || true; done
fi
for name in nova-compute nova-api nova-scheduler nova-conductor cinder-backup cinder-volume \
	cinder-volume-second cinder-scheduler cinder-api glance-api libvirtd neutron-stub placement keystone; do
	stop "$name" 30 & # no one of these needs another to end
done
wait
for name in sidecar sidecar-second; do stop "$name" 30; done
for name in rabbitmq epmd memcached mariadb; do stop "$name" 60; done
if [[ ${2:-} == --keep ]]; then
	"$rbdctl" lab down --dir "$lab" --keep-data
else
	"$rbdctl" lab down --dir "$lab"
	rm -rf "$cloud"
fi
