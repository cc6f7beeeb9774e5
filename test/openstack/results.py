#!/usr/bin/python3
"""Results of Tempest, one test a line: "pass TEST", "fail TEST  # why", "skip …".

usage: results.py report SUBUNIT OUT      write the results of a run, print a summary
       results.py compare RESULTS BASE    fail if a test that passes in BASE fails, was
                                          skipped or was not run in RESULTS
       results.py compare --subset NAMES RESULTS BASE    the same of the tests in NAMES
       results.py select NAMES TESTS      print the lines of TESTS that NAMES names

The exit status is 0 when all is well. A test that failed in BASE, too, is named
and no failure of this run.
"""
import collections
import re
import sys

import subunit
import testtools

WORDS = {"success": "pass", "xfail": "pass", "skip": "skip"}


def plain(test):
    """The name of a test without its attributes."""
    return re.sub(r"\[.*?\]", "", test)


class Collect(testtools.StreamResult):
    """The last status of each test, and what it said."""

    def __init__(self):
        self.tests = {}
        self.text = collections.defaultdict(bytes)

    def status(self, test_id=None, test_status=None, file_name=None, file_bytes=None, **_):
        if not test_id:
            return
        if file_bytes and file_name in ("reason", "traceback"):
            self.text[test_id] += bytes(file_bytes)
        if test_status and test_status not in ("exists", "inprogress"):
            self.tests[test_id] = WORDS.get(test_status, "fail")

    def why(self, test):
        lines = self.text[test].decode(errors="replace").strip().splitlines()
        if not lines or self.tests[test] == "pass":
            return ""
        line = lines[-1] if self.tests[test] == "fail" else lines[0]
        # What names one run alone would make every recording differ.
        return "  # " + re.sub(r"[0-9a-f]{8}-?([0-9a-f]{4}-?){3}[0-9a-f]{12}", "…", line.strip())[:300]


def report(stream, out):
    collected = Collect()
    with open(stream, "rb") as data:
        subunit.ByteStreamToStreamResult(data, non_subunit_name="stdout").run(collected)
    lines = sorted("%s %s%s" % (word, plain(test), collected.why(test))
                   for test, word in collected.tests.items())
    with open(out, "w", encoding="utf-8") as results:
        results.writelines(line + "\n" for line in lines)
    for line in lines:
        if not line.startswith("pass "):
            print(line)
    return 0 if summary("this run", read(out)) else 1


def read(path):
    with open(path, encoding="utf-8") as lines:
        pairs = [line.split("#")[0].strip().split(" ", 1) for line in lines]
    return {pair[1]: pair[0] for pair in pairs if len(pair) == 2}


def summary(name, tests):
    count = collections.Counter(tests.values())
    print("%s: passed %d, failed %d, skipped %d" % (name, count["pass"], count["fail"], count["skip"]))
    return count["pass"]


def compare(path, base_path, names=None):
    ours, base = read(path), read(base_path)
    summary(base_path, base)
    if names:
        wanted = listed(names)
        base = {t: w for t, w in base.items() if t in wanted}
    worse = [t for t in sorted(base) if base[t] == "pass" and ours.get(t) != "pass"]
    new = [t for t in sorted(ours) if ours[t] == "fail" and t not in base]
    for test in worse:
        print("WORSE  %s: pass before, now %s" % (test, ours.get(test, "not run")))
    for test in new:
        print("FAILS  %s: it is not in %s" % (test, base_path))
    for test in sorted(ours):
        if ours[test] == "fail" and base.get(test) == "fail":
            print("SAME   %s fails in both" % test)
        elif ours[test] == "pass" and base.get(test, "pass") != "pass":
            print("BETTER %s: %s before, now pass" % (test, base[test]))
    passed = sum(1 for t in ours if ours[t] == "pass")
    print("compared by name: %d tests, %d passed, %d worse" % (len(ours), passed, len(worse) + len(new)))
    return 1 if worse or new or not passed else 0


def listed(path):
    """The test names in a file, one a line; the rest of a line after "#" is a comment."""
    with open(path, encoding="utf-8") as lines:
        return {line.split("#")[0].strip() for line in lines} - {""}


def select(names, tests):
    wanted = listed(names)
    with open(tests, encoding="utf-8") as lines:
        found = [line.strip() for line in lines if plain(line.strip()) in wanted]
    print("\n".join(found))
    missing = wanted - {plain(test) for test in found}
    for name in sorted(missing):
        print("results.py: Tempest has no test %s" % name, file=sys.stderr)
    return 1 if missing else 0


def main(args):
    if args[0] == "report":
        return report(*args[1:])
    if args[0] == "select":
        return select(*args[1:])
    if args[1] == "--subset":
        return compare(args[3], args[4], args[2])
    return compare(*args[1:])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
