#!/usr/bin/env bash
# Runs a command with a lab of real daemons, which ends with it, and with the
# build tags of this machine in GOFLAGS.
#
# The program that does it is compiled first and started as this very process:
# under `go run`, a signal would end go and not reach the lab.
#
# The lab is in memory where that has room and takes unbuffered writes: tests end
# processes, not machines, and would wait for the disk at every write.
#
# usage: in_lab.sh COMMAND [ARGUMENT...]
set -euo pipefail

# roomy tells whether a directory is on a file system in memory with room for a lab.
roomy() {
	local free
	[[ $(stat -f -c %T "$1" 2>/dev/null) == tmpfs ]] || return
	free=$(df --output=avail -BG "$1" | tr -dc 0-9)
	((free >= 12 && $(awk '/^MemAvailable/ { print $2 }' /proc/meminfo) >= 12 << 20)) || return
	dd if=/dev/zero of="$1/rbdctl.$$" bs=4096 count=1 oflag=direct status=none 2>/dev/null
	local status=$?
	rm -f "$1/rbdctl.$$"
	return "$status"
}

here=$(cd "$(dirname "$0")" && pwd)
labrun=$here/../../bin/labrun
"$here/tagged.sh" go build -trimpath -o "$labrun" ./internal/lab/labrun
parent=()
if [[ -z ${TMPDIR:-} ]] && roomy /dev/shm; then
	parent=(-parent /dev/shm)
fi
exec "$here/tagged.sh" "$labrun" "${parent[@]}" -- "$@"
