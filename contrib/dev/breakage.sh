#!/usr/bin/env bash
# Shows that the tests notice when what keeps data safe is gone: takes one safeguard
# after the other out of a copy of this checkout, and demands that a test fails each
# time, and that it is a test that fails and not the build.
#
# usage: breakage.sh [WORD...]
# With words, only the safeguards in whose name there is one of them.
# shellcheck disable=SC2016 # Perl expands what is in single quotes
set -euo pipefail

cd "$(dirname "$0")/../.."
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
missed=()
words=("$@")

# without NAME FILE PERL PACKAGE TESTS: PERL edits FILE.
without() {
	local name=$1 file=$2 edit=$3 package=$4 tests=$5 out
	((${#words[@]} == 0)) || grep -q -F "${words[@]/#/-e}" <<<"$name" || return 0
	rm -rf "${copy:?}/tree"
	git clone -q . "$copy/tree"
	perl -0pi -e "$edit" "$copy/tree/$file"
	if git -C "$copy/tree" diff --quiet; then
		echo "breakage.sh: $name: $file has nothing like it any more" >&2
		exit 1
	fi
	(cd "$copy/tree" && contrib/dev/tagged.sh go build "$package")
	if out=$(cd "$copy/tree" && contrib/dev/in_lab.sh go test -count 1 -timeout 20m -run "$tests" "$package" 2>&1); then
		echo "MISSED   without $name: $tests passed"
		missed+=("$name")
	elif failed=$(grep -m 3 -E '^ *--- FAIL: ' <<<"$out"); then
		echo "noticed  without $name: $(sed 's/^ *--- FAIL: //; s/ .*//' <<<"$failed" | paste -sd ' ')"
	else
		printf '%s\n' "$out" | tail -n 20
		echo "breakage.sh: $name: the tests did not run" >&2
		exit 1
	fi
}

without "the look at a clone's parent" rbd/ensure.go \
	's/case p != nil && have\.Parent == nil:/case p != nil \&\& false:/; s/case p != nil && !e\.facts\.is\(have\.Parent\):/case p != nil \&\& false:/' \
	./rbd 'TestEnsure|TestKilled|TestTakeOver'
without "the lock in the journal's writes" rbd/clslock.go \
	's/(func assertLocked\([^\n]*\n)/$1\treturn\n/' \
	./rbd 'TestLostLease|TestTakeOver|TestEnsure'
# Whoever comes later makes the entry its own, lock and all: a lone request goes well.
without "the exclusive creation of a journal's entry" rbd/intent.go \
	's/w\.Create\(rados\.CreateExclusive\)/w.Create(rados.CreateIdempotent)/; s/(func \(i \*intent\) create\(\) error \{\n)/$1\tif l, err := i.ioctx.ListLockers(i.oid, lockName); err == nil \&\& l.NumLockers > 0 {\n\t\t_, _ = i.ioctx.BreakLock(i.oid, lockName, l.Clients[0], l.Cookies[0])\n\t}\n/' \
	./rbd 'TestEnsureAtOnce|TestEnsureWaits|TestAtOnce|TestDeleteWaits'
without "the fencing of an owner that is taken over" rbd/fence.go \
	's/(func \(s \*scope\) fence\([^\n]*\n)/$1\treturn nil\n/' \
	./rbd 'TestFence|TestLostLease|TestTakeOver|TestWatch'
without "the parent of a clone that was cut off" rbd/settle.go \
	's/(func \(s \*scope\) settleMaking\([^\n]*\n)/$1\treturn nil\n/' \
	./rbd 'TestTakeOver|TestEnsure|TestSettle'
without "the look for a purge before an image is brought back" rbd/delete.go \
	's/ \|\| now\.Begun//g' \
	./rbd 'TestDeleteBesideAPurge'

if ((${#missed[@]})); then
	printf 'FAILED: no test notices the lack of %s\n' "${missed[@]}"
	exit 1
fi
echo "passed: every breakage was noticed"
