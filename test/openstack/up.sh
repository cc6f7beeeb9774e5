#!/usr/bin/env bash
# Brings up a whole OpenStack on a Ceph cluster, as ordinary processes on loopback
# with all their state in one directory: keystone, glance, cinder (api, scheduler,
# volume, backup), placement and nova with a libvirtd of its own; MariaDB, RabbitMQ
# and memcached below them. Run again, it starts what is not running. `down.sh DIR`
# takes it down.
#
# usage: up.sh DIR [upstream|sidecar]   the driver of cinder-volume; upstream first
# shellcheck disable=SC2154 # the variables come from lib
set -euo pipefail

cloud=${1:?usage: up.sh DIR [upstream|sidecar]}
driver=${2:-upstream}
parts=$(dirname "$0")/lib
# shellcheck source=/dev/null
. "$parts/process.sh"
# shellcheck source=/dev/null
. "$parts/cloud.sh"
# shellcheck source=/dev/null
. "$parts/ceph.sh"
# shellcheck source=/dev/null
. "$parts/config.sh"
# shellcheck source=/dev/null
. "$parts/config_cinder.sh"
# shellcheck source=/dev/null
. "$parts/config_nova.sh"
# shellcheck source=/dev/null
. "$parts/base.sh"
# shellcheck source=/dev/null
. "$parts/services.sh"

exec 9>"$cloud/lock"
flock -n 9 || {
	echo "up.sh: another up.sh or down.sh works on $cloud" >&2
	exit 1
}

began=$SECONDS
ceph_up 9>&-
[[ -e $cloud/guest.raw ]] || "$here/guest.sh" "$cloud/guest.raw"
config_shared
config_glance
[[ -e $etc/libvirtd.conf ]] || config_libvirt
libvirt_up
ceph_secrets
config_cinder "$driver"
config_nova
base_up
schemas
await rabbitmq 240 listening "$port_rabbit"
keystone_up
services_up "$driver"
services_ready
echo "the cloud is up in $cloud after $((SECONDS - began)) s, cinder-volume with driver $driver"
