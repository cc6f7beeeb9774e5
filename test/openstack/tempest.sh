#!/usr/bin/env bash
# Runs Tempest's volume tests and those of cinder-tempest-plugin against the cloud
# in DIR, and writes their results, one a line, to OUT: "pass TEST", "fail TEST",
# "skip TEST", with the reason after a "#". Prints those that failed or were
# skipped, and the counts. What it can't run is a failure.
#
# usage: tempest.sh DIR OUT [SELECTION]
#   SELECTION  a file of test names, one a line; without it the whole suites
# shellcheck disable=SC2154 # the variables come from lib
set -euo pipefail

cloud=${1:?usage: tempest.sh DIR OUT [SELECTION]}
out=$(realpath -m "${2:?usage: tempest.sh DIR OUT [SELECTION]}")
selection=${3:+$(realpath "$3")}
parts=$(dirname "$0")/lib
# shellcheck source=/dev/null
. "$parts/process.sh"
# shellcheck source=/dev/null
. "$parts/cloud.sh"
# shellcheck source=/dev/null
. "$parts/tempest.sh"

work=$cloud/tempest
mkdir -p "$work"/{etc,lock}
mapfile -t images < <(python images.py "$cloud/guest.raw" tempest-guest tempest-guest-alt)
config_tempest "${images[0]}" "${images[1]}"

suites='^(tempest\.api\.volume|cinder_tempest_plugin)\.'
options=(--exclude-list "$here/exclude.txt" --concurrency 2)
if [[ -n $selection ]]; then
	options+=(--load-list "$work/selected")
fi
cd "$work"
stestr=(bare HOME="$home" TEMPEST_CONFIG_DIR="$work/etc" TEMPEST_CONFIG=tempest.conf OS_TEST_TIMEOUT=1800 stestr)
[[ -d .stestr ]] || "${stestr[@]}" init
if [[ -n $selection ]]; then
	# Lists name tests with their attributes, which our files leave out.
	"${stestr[@]}" list >all
	/usr/bin/python3 "$here/results.py" select "$selection" all >selected
fi
# Its status is that of the tests; what it could not run shows in the results, and so does
# what it had no time for: LIMIT seconds, an hour.
timeout --kill-after 60 "${LIMIT:-3600}" env -i "${bare_env[@]}" "${stestr[@]:1}" \
	run "${options[@]}" "$suites" >run.log 2>&1 || true
"${stestr[@]}" last --subunit >subunit
/usr/bin/python3 "$here/results.py" report subunit "$out"
