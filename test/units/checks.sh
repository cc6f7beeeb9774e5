#!/usr/bin/env bash
# The inside of run.sh: brings up a lab, installs what an operator would, and has
# systemd start, stop, reload and lose the sidecar.
#
# usage: checks.sh, as root of a system that may be spoilt
set -euo pipefail
export LC_ALL=C.UTF-8
unset NOTIFY_SOCKET

socket=/run/rbdctl/rbdctl.sock
work=$(mktemp -d)

fail() {
	echo "FAILED: $*"
	exit 1
}

# on_exit shows, after a failure, what the unit has gone through.
on_exit() {
	local status=$?
	((status == 0)) && exit
	echo "checks.sh: ended with status $status; the journal of the units:"
	journalctl --no-pager -o short-precise -u rbdctl.service -u rbdctl.socket |
		grep -v '"msg":"request",.*"status":200' | tail -n 40 || true
	exit "$status"
}
trap on_exit EXIT

# check NAME COMMAND... runs one check, which ends everything when it fails.
check() {
	local began=$SECONDS
	"${@:2}"
	echo "-- $1: passed after $((SECONDS - began)) s"
}

# same NAME WANT HAVE
same() {
	[[ $2 == "$3" ]] || fail "$1: is '$3', not '$2'"
}

# until_true NAME COMMAND... waits up to a minute for a command to succeed.
until_true() {
	local end=$((SECONDS + 60))
	until "${@:2}"; do
		((SECONDS < end)) || fail "$1: not within a minute"
		sleep 0.1
	done
}

property() { systemctl show --property "$1" --value "${2:-rbdctl.service}"; }
main_pid() { property MainPID; }
active() { [[ $(property ActiveState) == active ]]; }

# stop UNIT stops it, without the advice that its socket starts it again.
stop() {
	systemctl stop "$1" 2>"$work/out" || fail "stop of $1: $(<"$work/out")"
}

# as USER COMMAND... runs a command as that user, with its group only.
as() {
	setpriv --reuid "$1" --regid "$1" --clear-groups --no-new-privs -- "${@:2}"
}

# request METHOD PATH [BODY] makes a request as Cinder's user, once, and prints the
# answer; it fails unless that is a success.
request() {
	as cinder curl --silent --show-error --fail-with-body --max-time 90 --unix-socket "$socket" \
		--request "$1" ${3:+--header "Content-Type: application/json" --data "$3"} "http://sidecar$2"
}

volume=/v1/volumes/0b1c2d3e-4f50-4617-8293-a4b5c6d7e8f9

# read_back reads the volume of the first request: it comes from the cluster.
read_back() { request GET "$volume" | grep -q 1073741824; }

serves() {
	read_back || fail "$1: the volume is not read back"
}

# journal counts the lines of the service's journal that have TEXT.
journal() {
	journalctl --no-pager -o cat -u rbdctl.service | grep -cF "$1" || true
}

lab() {
	rbdctl lab up --dir /lab --osds 1 --store memstore --no-libvirt >"$work/lab" 2>&1 || fail "lab: $(<"$work/lab")"
	export CEPH_CONF=/lab/ceph.conf
	rbdctl pools init --pools volumes,images >"$work/lab" 2>&1 || fail "pools: $(<"$work/lab")"
	rbdctl keyring issue client.cinder >"$work/lab" 2>&1 || fail "entity: $(<"$work/lab")"
}

# installed puts there what the units expect: user, ceph.conf, keyring, options.
installed() {
	useradd --system --user-group cinder
	useradd --system --user-group stranger
	mkdir -p /etc/ceph
	{
		echo '[global]'
		grep -E '^(fsid|mon host) =' /lab/ceph.conf
	} >/etc/ceph/ceph.conf
	rbdctl keyring export --dir /etc/ceph client.cinder >"$work/out"
	echo 'RBDCTL_OPTIONS="--listen 127.0.0.1:9286"' >/etc/default/rbdctl
	unset CEPH_CONF
	systemctl daemon-reload
}

# syntax demands that systemd knows every setting, and that none has been lost.
syntax() {
	local said
	said=$(systemd-analyze verify --man=no rbdctl.socket rbdctl.service 2>&1) || fail "systemd-analyze verify: $said"
	same "what systemd-analyze verify says" "" "$said"
	said=$(systemd-analyze security --no-pager --threshold=20 rbdctl.service) || fail "systemd-analyze security:"$'\n'"$said"
}

socket_only() {
	systemctl --quiet enable rbdctl.service 2>"$work/out"
	same "the socket, enabled with the service" enabled "$(systemctl is-enabled rbdctl.socket)"
	systemctl start rbdctl.socket
	same "the service before the first request" inactive "$(property ActiveState)"
	same "the socket" "root:cinder 660" "$(stat -c '%U:%G %a' $socket)"
	same "its directory" "root:root 755" "$(stat -c '%U:%G %a' /run/rbdctl)"
	! as stranger curl --silent --max-time 5 --unix-socket "$socket" http://sidecar/v1/stats >"$work/out" ||
		fail "a stranger may use the socket: $(<"$work/out")"
	same "the service after a stranger's request" inactive "$(property ActiveState)"
}

first_request() {
	request PUT "$volume" '{"size_bytes": 1073741824}' >"$work/out" || fail "the first request: $(<"$work/out")"
	until_true "the service is active" active
	same "its type" notify "$(property Type)"
	same "its restarts" 0 "$(property NRestarts)"
	curl --silent --fail --max-time 10 --output "$work/out" http://127.0.0.1:9286/readyz ||
		fail "the options of /etc/default/rbdctl: $(cat "$work/out")"
	same "the socket's unit" active "$(property ActiveState rbdctl.socket)"
	serves "after the first request"
}

# confined looks at what the kernel holds the process to.
confined() {
	local pid want have
	pid=$(main_pid)
	have=$(awk '/^(Uid|CapEff|CapBnd|CapAmb|NoNewPrivs|Seccomp|Umask):/ { print $1, $2 }' "/proc/$pid/status")
	want="Umask: 0077
Uid: $(id -u cinder)
CapEff: 0000000000000000
CapBnd: 0000000000000000
CapAmb: 0000000000000000
NoNewPrivs: 1
Seccomp: 2"
	same "the state of the process" "$want" "$have"
	same "its limit of core dumps" "0 0" "$(awk '/^Max core file size/ { print $5, $6 }' "/proc/$pid/limits")"
	have=$(awk '$5 == "/" { print substr($6, 1, 2) }' "/proc/$pid/mountinfo" | tail -n 1)
	same "its root" ro "$have"
	touch /home/private /tmp/private
	same "what it sees of homes and of /tmp" "" "$(nsenter --target "$pid" --mount ls -A /home /root /tmp | grep private || true)"
}

# notified has the start of a process that is not ready wait, and the status told.
notified() {
	same "who may notify" main "$(property NotifyAccess)"
	stop rbdctl.service
	same "the result of the stop" success "$(property Result)"
	# A process that starts but never says that it is ready.
	drop_in ready '[Service]' 'ExecStart=' 'ExecStart=/bin/sleep 60' 'TimeoutStartSec=2' 'Restart=no'
	! systemctl start rbdctl.service 2>"$work/out" || fail "the service counts as started without READY"
	same "the result of that start" timeout "$(property Result)"
	drop_out ready
	stop rbdctl.service
	systemctl reset-failed rbdctl.service
	systemctl start rbdctl.service
	same "READY, started by hand" active "$(property ActiveState)"
	serves "started by hand"
}

# drop_in NAME LINE... adds to the service's unit, until drop_out NAME.
drop_in() {
	mkdir -p /run/systemd/system/rbdctl.service.d
	printf '%s\n' "${@:2}" >"/run/systemd/system/rbdctl.service.d/$1.conf"
	systemctl daemon-reload
}

drop_out() {
	rm "/run/systemd/system/rbdctl.service.d/$1.conf"
	systemctl daemon-reload
}

reloads() {
	local pid
	pid=$(main_pid)
	systemctl reload rbdctl.service
	until_true "the reload" reloaded '"msg":"reloaded"'
	# A keyring that is gone: the reload says so, and what works stays.
	mv /etc/ceph/ceph.client.cinder.keyring "$work/keyring"
	systemctl reload rbdctl.service
	until_true "the reload without a keyring" reloaded '"msg":"reload failed'
	serves "after a reload that failed"
	mv "$work/keyring" /etc/ceph/ceph.client.cinder.keyring
	same "the process after the reloads" "$pid" "$(main_pid)"
	same "the service after the reloads" active "$(property ActiveState)"
}

reloaded() { (($(journal "$1") > 0)); }

# clients makes requests, one after the other, until the file $work/enough exists.
clients() {
	local made=0
	while [[ ! -e $work/enough ]]; do
		request GET "$volume" >"$work/answer.$1" 2>&1 || {
			echo "request $made: $(<"$work/answer.$1")" >"$work/failed.$1"
			return
		}
		made=$((made + 1))
	done
	echo "$made" >"$work/made.$1"
}

# restarts demands that no request fails while the service is started anew.
restarts() {
	local n before after
	rm -f "$work"/{enough,failed.*,made.*}
	for n in 1 2 3 4 5 6; do
		clients "$n" &
	done
	for n in 1 2 3 4 5; do
		before=$(main_pid)
		systemctl restart rbdctl.service
		same "the service after restart $n" active "$(property ActiveState)"
		after=$(main_pid)
		[[ $before != "$after" ]] || fail "restart $n: it is the same process"
		sleep 0.3
	done
	touch "$work/enough"
	wait
	[[ -z $(cat "$work"/failed.* 2>/dev/null) ]] || fail "while restarted: $(cat "$work"/failed.*)"
	n=$(cat "$work"/made.* | awk '{ n += $1 } END { print n }')
	((n > 12)) || fail "only $n requests were made meanwhile"
	echo "   $n requests during five restarts"
}

# killed demands that the request right after a kill is answered, by another process.
killed() {
	local pid
	pid=$(main_pid)
	kill -KILL "$pid"
	serves "after kill -9"
	until_true "active after kill -9" active
	[[ $(main_pid) != "$pid" ]] || fail "after kill -9: the process is the same"
	same "restarts" 1 "$(property NRestarts)"
}

# stuck stops the process: it does not tell that it lives, and systemd replaces it.
stuck() {
	local pid
	same "the watchdog of the unit" 30s "$(property WatchdogUSec)"
	drop_in watchdog '[Service]' 'WatchdogSec=8s'
	systemctl restart rbdctl.service
	pid=$(main_pid)
	sleep 16
	same "the process after some times of the watchdog" "$pid" "$(main_pid)"
	kill -STOP "$pid"
	# While it is being ended it may take on the request that waits, and end with that: the
	# driver asks again.
	until_true "the volume is read back after the watchdog" read_back
	until_true "active after the watchdog" active
	[[ $(main_pid) != "$pid" ]] || fail "after the watchdog: the process is the same"
	same "restarts" 1 "$(property NRestarts)"
	journalctl --sync
	(($(journal 'Watchdog timeout') == 1)) || fail "the journal tells of no watchdog, or of several"
	drop_out watchdog
}

# returns demands that what keeps it from starting is waited out, without end: also the
# request that waits is answered then.
returns() {
	local waiting
	drop_in often '[Service]' 'RestartSec=100ms'
	stop rbdctl.service
	mv /etc/ceph/ceph.conf "$work/ceph.conf"
	serves "after starts that failed" &
	waiting=$!
	until_true "many starts" tried 10
	mv "$work/ceph.conf" /etc/ceph/ceph.conf
	wait "$waiting" || fail "the request that waited was not answered"
	until_true "active after starts that failed" active
	drop_out often
}

tried() { (($(property NRestarts) >= $1)); }

stops() {
	stop rbdctl.service
	same "the result of the stop" success "$(property Result)"
	serves "activated a second time"
	until_true "active, activated a second time" active
	stop rbdctl.socket
	same "the service without its socket" inactive "$(property ActiveState)"
	[[ ! -e $socket ]] || fail "the socket is left behind"
}

check "a lab" lab
check "installed" installed
check "syntax and exposure" syntax
check "the socket, and nobody behind it" socket_only
check "the first request starts the service" first_request
check "the process is confined" confined
check "ready by notification" notified
check "reload" reloads
check "no request fails during restarts" restarts
check "killed" killed
check "watchdog" stuck
check "starts that fail" returns
check "stop" stops
