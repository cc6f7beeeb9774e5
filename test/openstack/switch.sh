#!/usr/bin/env bash
# Gives the cloud in DIR another volume driver: one line of cinder.conf, and
# cinder-volume anew. The other services go on.
#
# usage: switch.sh DIR upstream|sidecar
# shellcheck disable=SC2154 # the variables come from lib
set -euo pipefail

cloud=${1:?usage: switch.sh DIR upstream|sidecar}
driver=${2:?usage: switch.sh DIR upstream|sidecar}
parts=$(dirname "$0")/lib
for part in process cloud ceph config config_cinder services; do
	# shellcheck source=/dev/null
	. "$parts/$part.sh"
done

exec 9>"$cloud/lock"
flock -n 9 || {
	echo "switch.sh: another script works on $cloud" >&2
	exit 1
}
stop cinder-volume 30
stop sidecar 60
config_cinder "$driver"
python ready.py cinder --anew || true
volume_start "$driver"
await cinder-volume 300 python ready.py cinder
