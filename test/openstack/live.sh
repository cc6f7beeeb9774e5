#!/usr/bin/env bash
# Runs those of the driver's tests that need a cluster against the sidecar of the
# cloud in DIR, where Cinder may have no volumes.
#
# usage: live.sh DIR
# shellcheck disable=SC2154,SC2034 # variables of, and for, the lib
set -euo pipefail

cloud=${1:?usage: live.sh DIR}
parts=$(dirname "$0")/lib
for part in process cloud; do
	# shellcheck source=/dev/null
	. "$parts/$part.sh"
done
bare HOME="$home" RBDCTL_SOCKET="$socket" CEPH_CONF="$conf" "$top/contrib/dev/test_driver.sh" tests.live
