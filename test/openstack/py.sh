#!/usr/bin/env bash
# Runs one of the programs beside this with what it needs to find the cloud in DIR.
#
# usage: py.sh DIR PROGRAM [ARGUMENT...]
# shellcheck disable=SC2034 # lib takes it
set -euo pipefail

cloud=${1:?usage: py.sh DIR PROGRAM [ARGUMENT...]}
shift
parts=$(dirname "$0")/lib
# shellcheck source=/dev/null
. "$parts/process.sh"
# shellcheck source=/dev/null
. "$parts/cloud.sh"
python "$@"
