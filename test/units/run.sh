#!/usr/bin/env bash
# Tests the units of contrib/systemd as an operator installs them: boots the Debian 13
# of contrib/dev/debian13.sh, and has systemd run the sidecar in there, with a lab of
# its own. It fails, too, when it cannot run.
#
# The folder stays as it is. All of it happens in namespaces and a control group that
# end with this script, and without a network but loopback.
#
# usage: run.sh
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
top=$(cd "$here/../.." && pwd)
if ((EUID != 0)); then
	echo "run.sh: needs root, to boot a system in namespaces" >&2
	exit 1
fi

began=$SECONDS
work=$(mktemp -d)
group=rbdctl-units.$$
child=

clean() {
	local status=$?
	trap '' INT TERM HUP
	if [[ -n $child ]]; then
		kill -KILL "$child" 2>/dev/null || true # the kernel ends what is in there
		wait "$child" || true
	fi
	# A namespace that is ended needs a moment, and its control group is in use till then.
	# shellcheck disable=SC2016 # the inner shell expands these
	if ! unshare --mount --propagation private sh -c '
		mount -t cgroup2 cgroup2 "$1" && cd "$1" || exit
		for _ in 1 2 3 4 5 6 7 8 9 10; do
			[ -d "$2" ] || exit 0
			find "$2" -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.5
		done
		exit 1' sh "$work" "$group"; then
		echo "run.sh: the control group $group is left" >&2
		status=1
	fi
	rm -rf "$work"
	exit "$status"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

# The program is compiled where it is to run: in there, against its libraries.
# shellcheck disable=SC2016 # the inner shell expands it
"$top/contrib/dev/debian13.sh" sh -c 'make --no-print-directory build >&2 && exec cat bin/rbdctl' >"$work/rbdctl"
chmod 755 "$work/rbdctl"
built=$SECONDS

unshare --mount --propagation private --pid --fork --kill-child --mount-proc \
	"$here/boot.sh" "${RBDCTL_DEBIAN13:-$top/.cache/debian13}" "$work" "$group" &
child=$!
status=0
wait "$child" || status=$?
child=
if ((status != 0)); then
	echo "FAILED: the systemd units"
	exit 1
fi
echo "passed: the systemd units, after $((SECONDS - began)) s, $((built - began)) of them to build"
