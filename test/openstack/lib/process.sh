#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # variables of, and for, the other parts
# Sourced: starts, awaits and stops plain background processes. Each leads a
# session of its own; $run/NAME.pid holds its id and the kernel's start time of
# it, so that a number which the kernel has given away again is never signalled.
#
# Needs $run and $log, both directories.

# The tools and services are the distribution's: another python3 that comes first
# in somebody's PATH would not have their modules.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin

# bare runs a command with nothing of the caller's environment.
bare() {
	env -i "${bare_env[@]}" "$@"
}

bare_env=(PATH="$PATH" LANG=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1)

# started prints the start time of a process, in clock ticks since boot. One that has
# ended with all its threads and waits to be noticed is none; as long as one of them
# is left, the process has its sockets. See proc(5): state, num_threads, starttime.
started() {
	local stat
	stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
	read -r -a stat <<<"${stat##*) }"
	[[ ${stat[0]} != [ZX] ]] || ((stat[17] > 1)) || return 1
	echo "${stat[19]}"
}

# running tells whether the process that was started as NAME still is.
running() {
	local id when
	[[ -e $run/$1.pid ]] || return 1
	read -r id when <"$run/$1.pid" || return 1
	[[ -n $id && $(started "$id") == "$when" ]]
}

# start NAME COMMAND... runs a daemon, unless it runs; what it says goes to
# $log/NAME.log. It inherits no lock of the caller's.
start() {
	local name=$1 id
	shift
	running "$name" && return
	setsid -- env -i "${bare_env[@]}" HOME="$home" "$@" >>"$log/$name.log" 2>&1 </dev/null 9>&- &
	id=$!
	echo "$id $(started "$id")" >"$run/$name.pid"
}

# stop NAME [SECONDS] asks a daemon to end, and ends what is left of its session
# when the time is over.
stop() {
	local name=$1 tries=$((${2:-20} * 10)) id
	[[ -e $run/$name.pid ]] || return 0
	read -r id _ <"$run/$name.pid" || id=
	if [[ -n $id ]] && running "$name"; then
		kill -TERM "$id" 2>/dev/null || true
		while ((tries-- > 0)) && running "$name"; do sleep 0.1; done
		kill -KILL -- "-$id" 2>/dev/null || true # the group is its alone: setsid made it
		tries=200
		while ((tries-- > 0)) && running "$name"; do sleep 0.1; done
	fi
	rm -f "$run/$name.pid"
}

# await NAME SECONDS COMMAND... repeats a command until it succeeds. It fails with
# the daemon's last lines when the daemon ends or the time does.
await() {
	local name=$1 end=$((SECONDS + $2)) why=
	shift 2
	until "$@" >/dev/null 2>&1; do
		if ((SECONDS > end)); then
			why="is not ready in time"
		elif [[ -e $run/$name.pid ]] && ! running "$name"; then
			why="has ended"
		fi
		if [[ -n $why ]]; then
			echo "openstack: $name $why; the end of $log/$name.log:" >&2
			tail -n 15 "$log/$name.log" >&2 || true
			return 1
		fi
		sleep 0.2
	done
}

# over SOURCE:TARGET... -- COMMAND... is what runs COMMAND in a mount namespace of
# its own, where SOURCE lies over TARGET: a daemon's own /etc/ceph, say, without a
# change to the machine's. Every step is an exec, so the process stays the same.
# shellcheck disable=SC2016 # that shell is to expand it
over=(unshare --mount --propagation private bash -c '
	set -e
	while [[ $1 != -- ]]; do
		mount --bind "${1%%:*}" "${1#*:}"
		shift
	done
	shift
	exec "$@"' over)

listening() {
	(exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

answers() {
	curl --silent --fail --max-time 5 --output /dev/null "http://127.0.0.1:$1$2"
}
