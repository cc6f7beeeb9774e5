#!/usr/bin/env bash
# Prints the last errors in the logs of the services in DIR.
#
# usage: errors.sh DIR
set -euo pipefail

cloud=${1:?usage: errors.sh DIR}
for name in sidecar sidecar-second; do
	[[ -e $cloud/log/$name.log ]] || continue
	echo "== last complaints of $name"
	grep -E 'level=(WARN|ERROR)|^rbdctl: |panic|^fatal|^SIG|goroutine 1 ' "$cloud/log/$name.log" | tail -n 25 | cut -c 1-400 || true
done
# Without the lines of tracebacks, which tell where but not what.
for name in cinder-volume cinder-volume-second cinder-backup cinder-scheduler cinder-api nova-compute glance-api; do
	[[ -e $cloud/log/$name.log ]] || continue
	echo "== last errors of $name"
	grep -E '^[-0-9]+ [0-9:.]+ [0-9]+ (ERROR|CRITICAL) [^ ]+ [^ ]' "$cloud/log/$name.log" | grep -v '\[00m$' | tail -n 8 | cut -c 1-300 || true
done
