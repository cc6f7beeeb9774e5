#!/usr/bin/env bash
# Prints a run's results as the file that later runs compare with.
#
# usage: record.sh RESULTS
set -euo pipefail

version() {
	dpkg-query -W -f='${Package} ${Version}' "$1"
}
echo "# Tempest's volume tests and cinder-tempest-plugin's with the upstream RBD driver, by"
echo "# \`run.sh --record\`: $(version cinder-volume), $(version tempest),"
echo "# $(version librbd1)."
cat "${1:?usage: record.sh RESULTS}"
