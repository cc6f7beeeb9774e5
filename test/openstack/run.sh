#!/usr/bin/env bash
# Tests rbdctl under a real OpenStack: brings a whole one up, runs scenarios and
# Tempest's volume tests through its public APIs, compares the results by name with
# those of the upstream driver, looks for what is left in the pools, and takes it all
# down. Everything that did not pass, or could not run, is a failure.
#
# usage: run.sh [--full] [--both] [--record] [--measure] [--keep]
#   --full    the whole suites, not the selection in quick.txt
#   --both    the upstream driver as well, on the same cloud, before ours; compare
#             with its result and not with the recorded one
#   --record  write the upstream driver's result to results/upstream.txt: with --both
#             when it is there, else that is all that is done
#   --measure write bench/OPENSTACK.md, how long either driver takes, and do nothing else
#   --keep    leave the cloud up, and say where it is
# WORK is the directory to be made for it, by default a temporary one.
set -euo pipefail
export LC_ALL=C
unset CEPH_ARGS CEPH_CONF CEPH_KEYRING PYTHONPATH "${!RBDCTL_@}" "${!OS_@}" "${!LIBVIRT_@}"

here=$(cd "$(dirname "$0")" && pwd)
full=0 both=0 record=0 measure=0 keep=0
for option in "$@"; do
	case $option in
	--full) full=1 ;;
	--both) both=1 ;;
	--record) record=1 full=1 ;;
	--measure) measure=1 ;;
	--keep) keep=1 ;;
	*)
		echo "run.sh: unknown option '$option'; there are --full, --both, --record, --measure, --keep" >&2
		exit 2
		;;
	esac
done
if ((EUID != 0)); then
	echo "run.sh: needs root, for mount namespaces of the services" >&2
	exit 1
fi

work=${WORK:-$(mktemp -d "${TMPDIR:-/tmp}/rbdctl-openstack.XXXXXX")}
mkdir -p "$work"
chmod 755 "$work"
cloud=$work/cloud
failed=()

clean() {
	local status=$?
	trap '' INT TERM HUP
	set +e
	if ((keep)); then
		printf 'the cloud stays up in %s; take it down with\n  %s/down.sh %s && rm -r %s\n' \
			"$cloud" "$here" "$cloud" "$work"
		exit "$status"
	fi
	if ((status != 0)) && [[ -d $cloud/log ]]; then
		"$here/errors.sh" "$cloud"
	fi
	local began=$SECONDS
	if ! setsid --wait "$here/down.sh" "$cloud" >/dev/null; then
		echo "run.sh: something is left: repeat $here/down.sh $cloud" >&2
		exit 1
	fi
	echo "the cloud is gone after $((SECONDS - began)) s"
	rm -rf "$work"
	exit "$status"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# step NAME COMMAND... goes on after a failure, and remembers it.
step() {
	local name=$1 began=$SECONDS
	shift
	printf '\n== %s\n' "$name"
	if "$@"; then
		printf -- '-- %s: passed after %d s\n' "$name" $((SECONDS - began))
	else
		failed+=("$name")
		printf -- '-- %s: FAILED after %d s\n' "$name" $((SECONDS - began))
	fi
}

# The whole form tries the race as often as is promised of it.
if ((full)); then export ROUNDS=${ROUNDS:-100}; fi

py() {
	"$here/py.sh" "$cloud" "$@"
}

# suite DRIVER runs Tempest and leaves the results in $work/DRIVER.txt.
suite() {
	local selection=()
	((full)) || selection=("$here/quick.txt")
	"$here/tempest.sh" "$cloud" "$work/$1.txt" "${selection[@]}"
}

compare() {
	local base=$here/results/upstream.txt options=()
	[[ ! -e $work/upstream.txt ]] || base=$work/upstream.txt
	((full)) || options=(--subset "$here/quick.txt")
	/usr/bin/python3 -B "$here/results.py" compare "${options[@]}" "$work/sidecar.txt" "$base"
}

keep_result() {
	"$here/record.sh" "$work/upstream.txt" >"$here/results/upstream.txt"
}

upstream() {
	step "scenarios, upstream driver" py scenarios.py upstream
	step "Tempest, upstream driver" suite upstream
	((!record)) || keep_result
	step "pools are empty after the upstream driver" py empty.py --wait 20 --no-fsck
}

# there tells whether the sidecar runs. Without one, every test would only wait.
there() (
	# shellcheck source=/dev/null
	for part in process cloud; do . "$here/lib/$part.sh"; done
	running sidecar
)

sidecar() {
	step "scenarios, sidecar" py scenarios.py sidecar
	if ! there; then
		failed+=("Tempest and the rest: there is no sidecar any more")
		return
	fi
	step "Tempest, sidecar" suite sidecar
	step "compared with the upstream driver" compare
	step "the driver on the cluster, beside Cinder's own" "$here/live.sh" "$cloud"
	step "pools, trash and records are empty" py empty.py
}

"$here/install.sh"
if ((measure)); then
	"$here/up.sh" "$cloud" upstream
	py measure.py "$here/../../bench/OPENSTACK.md"
	exit
fi
((record && !both)) || step "the driver's own tests" "$here/../../contrib/dev/test_driver.sh"
"$here/up.sh" "$cloud" upstream
if ((record && !both)); then
	suite upstream
	keep_result
	exit
fi
((!both)) || upstream
step "both drivers: switching, and what each leaves" py both.py
((${#failed[@]} == 0)) || "$here/switch.sh" "$cloud" sidecar # wherever that ended
sidecar
echo
if ((${#failed[@]})); then
	printf 'FAILED: %s\n' "${failed[@]}"
	exit 1
fi
echo "passed: the OpenStack tests, after $SECONDS s"
