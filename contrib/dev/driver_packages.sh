#!/usr/bin/env bash
# Makes the two packages of Cinder's driver from a copy of contrib/cinder, Debian's
# and pip's, and looks at them: what they hold, what they depend on, and that the
# driver which they install is one for Cinder. Its own tests run in test_driver.sh.
# Nothing is installed here, and nothing fetched.
#
# usage: driver_packages.sh
set -euo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin # Debian's Python, whatever else is here
export LC_ALL=C.UTF-8 PYTHONDONTWRITEBYTECODE=1
unset PYTHONPATH DEB_BUILD_OPTIONS DEB_BUILD_PROFILES "${!PIP_@}"

source=$(cd "$(dirname "$0")/../cinder" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
log=$work/log

fail() {
	echo "driver_packages.sh: $*" >&2
	exit 1
}

# quietly runs a command, and shows what it said when it fails.
quietly() {
	"$@" >"$log" 2>&1 && return
	tail -n 60 "$log" >&2
	fail "$1 failed, see above"
}

# same NAME WANT HAVE
same() {
	[[ $2 == "$3" ]] || fail "$1: is"$'\n'"$3"$'\n'"and not"$'\n'"$2"
}

# copy NAME makes a copy of contrib/cinder: a build writes beside its source.
copy() {
	cp -r "$source" "$work/$1"
	rm -rf "$work/$1/build" "$work/$1"/*.egg-info
}

# drives DIRECTORY TEST... runs compliance tests, Cinder's and our own, on the driver
# that is installed in there.
drives() {
	cp -r "$source/tests" "$1/tests"
	cd "$1"
	quietly /usr/bin/python3 -W ignore -c '
import os, sys
from rbdctl_cinder import driver
print("the driver is", driver.__file__)
sys.exit(not driver.__file__.startswith(os.getcwd() + "/rbdctl_cinder/"))'
	quietly /usr/bin/python3 -W ignore -m unittest "${@:2}"
	if ! grep -qE '^Ran [1-9]' "$log" || [[ $(tail -n 1 "$log") != OK ]]; then
		fail "compliance tests were skipped, or there were none"
	fi
	cd "$work"
}

modules=$(cd "$source" && printf '%s\n' rbdctl_cinder/*.py | sort)
version=$(sed -n "s/^__version__ = '\(.*\)'/\1/p" "$source/rbdctl_cinder/__init__.py")
cd "$work"

copy debian
(cd debian && DEB_BUILD_OPTIONS=nocheck quietly dpkg-buildpackage --build=binary --no-sign)
deb=python3-rbdctl-cinder_${version}_all.deb
[[ -f $deb ]] || fail "no $deb: do debian/changelog and __version__ ($version) agree?"
same "what it depends on" \
	"python3-cinder (>= 2:18), qemu-utils, python3:any" "$(dpkg-deb -f "$deb" Depends)"
dpkg-deb -c "$deb" >content
odd=$(awk '$2 != "root/root" || ($1 != "-rw-r--r--" && $1 != "drwxr-xr-x")' content)
same "owners and modes that are odd" "" "$odd"
dpkg-deb -x "$deb" unpacked
site=usr/lib/python3/dist-packages
same "the modules in $deb" "$modules" "$(cd unpacked/$site && find rbdctl_cinder -type f | sort)"
same "what else $deb has" "/$site/rbdctl_cinder-$version.dist-info
/usr/share/doc/python3-rbdctl-cinder" "$(cd unpacked &&
	find . -type f ! -path "./$site/rbdctl_cinder/*" -printf '/%P\n' | xargs -n 1 dirname | sort -u)"
for file in changelog.gz copyright; do
	[[ -s unpacked/usr/share/doc/python3-rbdctl-cinder/$file ]] || fail "$deb has no $file"
done
drives "$work/unpacked/$site" tests.test_compliance

copy pip
quietly /usr/bin/python3 -m pip install --no-deps --no-index --no-build-isolation \
	--no-cache-dir --no-compile --root-user-action ignore --target installed ./pip
same "the modules that pip installs" "$modules" \
	"$(cd installed && find . -type f -name '*.py' -printf '%P\n' | sort)"
drives "$work/installed" tests.test_compliance.ComplianceTest.test_what_it_is

echo "packages of Cinder's driver, $version: built, and good for Cinder"
