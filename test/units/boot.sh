#!/usr/bin/env bash
# The middle of run.sh, first process of new namespaces: lays a writable layer over
# the Debian 13 in FOLDER, puts into it what is tested, boots it, and waits for what
# checks.sh in there says.
#
# usage: boot.sh FOLDER WORK GROUP: WORK has the program, the control group is made
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
folder=$1 work=$2 group=/sys/fs/cgroup/$3
limit=300 # seconds; it takes some thirty
said=$work/said console=$work/console

for program in usr/lib/systemd/systemd usr/bin/curl; do
	if [[ ! -x $folder/$program ]]; then
		echo "boot.sh: no $program in $folder: remove it, to have it made anew" >&2
		exit 1
	fi
done

# systemd-nspawn keeps things in /run, and takes the layout of control groups in
# there from the one out here: one hierarchy, whatever this machine has. Controllers
# are not needed.
mount -t tmpfs -o mode=0755 tmpfs /run
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mkdir "$group"

layers=$work/layers
root=$layers/root
mkdir "$layers"
mount -t tmpfs tmpfs "$layers"
mkdir "$layers/upper" "$layers/work" "$root"
mount -t overlay -o "lowerdir=$folder,upperdir=$layers/upper,workdir=$layers/work" overlay "$root"

units=$root/etc/systemd/system
install -m 0755 "$work/rbdctl" "$root/usr/bin/rbdctl"
install -m 0644 "$here"/../../contrib/systemd/rbdctl.{service,socket} "$units"
install -D -m 0755 "$here/checks.sh" "$root/test/checks.sh"
install -m 0644 "$here/checks.service" "$units"
touch "$said"

# The system ends with the checks, and has their exit status.
status=0
# shellcheck disable=SC2016 # the inner shell expands these
timeout --kill-after 5 "$limit" \
	sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" \
	systemd-nspawn --quiet --boot --directory "$root" --bind "$said:/test/said" \
	--private-network --register=no --keep-unit --console=read-only \
	-- --unit=checks.service --show-status=no \
	</dev/null >"$console" 2>&1 || status=$?
cat "$said"
if ((status != 0)); then
	tr -d '\r' <"$console" | grep -v 'Job checks.service/start running' | tail -n 30
	echo "boot.sh: the system ended with status $status"
fi
exit "$status"
