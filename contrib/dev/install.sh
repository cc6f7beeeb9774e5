#!/usr/bin/env bash
# Installs the Debian packages of the named groups (see packages.sh). When none
# is missing it asks dpkg and nothing else: no network, no root. When one is, it
# becomes root through sudo and calls apt-get.
#
# The daemons of these packages must not start: rbdctl brings up its own. Debian
# asks /usr/sbin/policy-rc.d about that, so one that says no stands there while
# packages are installed. It is removed at the end; one that was there before is
# left alone and decides.
#
# usage: install.sh GROUP...
set -euo pipefail

policy=/usr/sbin/policy-rc.d
mark='# rbdctl: temporary, while contrib/dev/install.sh installs packages'

say() { echo "install.sh: $*" >&2; }

# missing prints those of its arguments that dpkg doesn't count as installed.
missing() {
	local name
	for name in "$@"; do
		[[ $(dpkg-query -W -f='${db:Status-Status}' "$name" 2>/dev/null) == installed ]] || echo "$name"
	done
}

# hold_services puts our policy up unless there is one. A run that was killed may
# have left ours behind: that one is taken over.
hold_services() {
	if [[ -e $policy ]] && ! grep -qsF "$mark" "$policy"; then
		return
	fi
	temporary+=("$policy")
	printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
	chmod 755 "$policy"
}

listed=$("$(dirname "$0")/packages.sh" "$@")
mapfile -t names <<<"$listed"
if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
	say "this is no Debian; install by other means what these packages hold: ${names[*]}"
	exit 1
fi
mapfile -t wanted < <(missing "${names[@]}")
((${#wanted[@]})) || exit 0
if ((EUID != 0)); then
	if ! command -v sudo >/dev/null; then
		say "no sudo here; as root run: apt-get install --no-install-recommends ${wanted[*]}"
		exit 1
	fi
	say "installing, through sudo: ${wanted[*]}"
	exec sudo "$(readlink -f "$0")" "$@"
fi

say "installing ${wanted[*]}"
export DEBIAN_FRONTEND=noninteractive
apt=(apt-get -qq -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0)
log=$(mktemp)
temporary=("$log")
trap 'rm -f "${temporary[@]}"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
hold_services
# An index that can't be fetched is no reason to stop while an older one serves.
"${apt[@]}" update >"$log" 2>&1 || say "apt-get update failed; going on with the index that is there"
if ! "${apt[@]}" install -y --no-install-recommends "${wanted[@]}" >"$log" 2>&1; then
	cat "$log" >&2
	say "apt-get failed, see above; as root run: apt-get install --no-install-recommends ${wanted[*]}"
	exit 1
fi
mapfile -t wanted < <(missing "${names[@]}")
if ((${#wanted[@]})); then
	say "still missing after apt-get: ${wanted[*]}"
	exit 1
fi
