#!/usr/bin/env bash
# Starts beside the cloud in DIR what a second pool of volumes takes: the pool, caps
# for it, a sidecar that serves it, and a cinder-volume with one backend, "second", as
# if on another host. Nothing that runs is stopped. `end` takes all of it away again,
# and fails if the pool is not empty.
#
# usage: second.sh DIR begin|end
# shellcheck disable=SC2154 # the variables come from lib
set -euo pipefail

cloud=${1:?usage: second.sh DIR begin|end}
parts=$(dirname "$0")/lib
for part in process cloud ceph config config_cinder services; do
	# shellcheck source=/dev/null
	. "$parts/$part.sh"
done

exec 9>"$cloud/lock"
flock -n 9 || {
	echo "second.sh: another script works on $cloud" >&2
	exit 1
}

# quietly COMMAND... shows what a command says only if it fails.
quietly() {
	local said
	said=$("$@" 2>&1) || {
		echo "$said" >&2
		return 1
	}
}

begin() {
	quietly "$rbdctl" pools init --pools "volumes,vms,images,backups,$pool_second"
	local pools="profile rbd pool=volumes, profile rbd pool=$pool_second"
	quietly ceph auth caps client.cinder mon 'profile rbd' mgr "$pools" \
		osd "$pools, profile rbd-read-only pool=images"
	# A connection keeps the caps that it began with.
	local sidecar
	read -r sidecar _ <"$run/sidecar.pid"
	kill -HUP "$sidecar"
	serve sidecar-second "$pool_second" "$socket_second" "$port_second"
	config_second
	cinder_run cinder-volume-second cinder-volume --config-file "$etc/cinder-second.conf"
	await cinder-volume-second 300 python ready.py backend second
}

end() {
	stop cinder-volume-second 30
	stop sidecar-second 60
	quietly bare HOME="$home" cinder-manage --config-file "$etc/cinder.conf" \
		service remove cinder-volume "$node_second@second"
	quietly "$rbdctl" pools rm --confirm "$pool_second" "$pool_second"
	quietly "$rbdctl" keyring issue client.cinder
}

case ${2:-} in
begin) begin ;;
end) end ;;
*)
	echo "usage: second.sh DIR begin|end" >&2
	exit 2
	;;
esac
