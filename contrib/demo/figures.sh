# shellcheck shell=bash disable=SC2154 # wants $work from demo.sh
#
# Sourced by demo.sh: what Ceph's own accounting says that the pools hold. $work is
# a directory for the figures.

# settle waits until the monitors know what the OSDs store at this moment. By
# themselves the OSDs report every few seconds.
settle() {
	local osd=0 tries sequences sequence
	sequences=$(ceph tell 'osd.*' flush_pg_stats | awk '/^osd\./ { print $2 }')
	[[ -n $sequences ]]
	for sequence in $sequences; do
		tries=100
		while (($(ceph osd last-stat-seq "$osd") < sequence)); do
			((tries-- > 0)) || return 1
			sleep 0.2
		done
		osd=$((osd + 1))
	done
}

# measure keeps the figures of the pools under a name: a line for each pool with
# the bytes that clients stored and the bytes that this takes on the OSDs.
measure() {
	local start
	start=$(now)
	settle
	ceph df --format json | python3 -c '
import json, sys
for pool in json.load(sys.stdin)["pools"]:
    print(pool["name"], pool["stats"]["stored"], pool["stats"]["bytes_used"])
' >"$work/figures.$1"
	note "$(seconds $(($(now) - start))) until the OSDs had told the monitors what they store"
}

# stored and used print one figure of one pool.
stored() {
	awk -v pool="$2" '$1 == pool { print $2 }' "$work/figures.$1"
}
used() {
	awk -v pool="$2" '$1 == pool { print $3 }' "$work/figures.$1"
}

# added prints by how many bytes one or several pools grew between two measurements.
added() {
	local figure=$1 from=$2 to=$3 sum=0 pool
	shift 3
	for pool in "$@"; do
		sum=$((sum + $("$figure" "$to" "$pool") - $("$figure" "$from" "$pool")))
	done
	echo "$sum"
}

# figures prints a table of measurements: NAME TITLE NAME TITLE ...
figures() {
	printf '  %-24s %-6s %13s %13s %13s\n' '' bytes images volumes vms
	while (($# > 0)); do
		printf '  %-24s %-6s %13d %13d %13d\n' "$2" stored \
			"$(stored "$1" images)" "$(stored "$1" volumes)" "$(stored "$1" vms)"
		printf '  %-24s %-6s %13d %13d %13d\n' '' used \
			"$(used "$1" images)" "$(used "$1" volumes)" "$(used "$1" vms)"
		shift 2
	done
}
