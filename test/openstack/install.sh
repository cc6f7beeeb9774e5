#!/usr/bin/env bash
# Installs the Debian packages that the OpenStack tests need and that are missing.
# They ask whether to make databases of their own: no, each cloud has its own.
#
# usage: install.sh
set -euo pipefail

top=$(cd "$(dirname "$0")/../.." && pwd)
if command -v debconf-set-selections >/dev/null && ((EUID == 0)); then
	{
		echo "dbconfig-common dbconfig-common/dbconfig-install boolean false"
		for package in keystone glance-common cinder-common placement-common nova-common; do
			echo "$package ${package%-common}/configure_db boolean false"
		done
		for package in keystone nova-api glance-api cinder-api placement-api; do
			echo "$package ${package%-api}/register-endpoint boolean false"
		done
	} | debconf-set-selections
fi
exec "$top/contrib/dev/install.sh" build lab guest driver openstack
