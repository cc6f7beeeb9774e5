package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

// TestScripts runs testdata/script/*.txtar with the real binary on a real
// cluster. A script has CEPH_CONF, the pools $IMAGES and $VOLUMES, and the command
//
//	exits STATUS PROGRAM [ARG...]
//
// which is exec that demands an exit status.
func TestScripts(t *testing.T) {
	conf := labtest.Conf(t)
	binary := labtest.Build(t)
	images, volumes := labtest.FreshPool(t), labtest.FreshPool(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "script"),
		Setup: func(e *testscript.Env) error {
			e.Setenv("CEPH_CONF", conf)
			e.Setenv("IMAGES", images)
			e.Setenv("VOLUMES", volumes)
			e.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": wantStatus},
	})
}

// TestJSON runs testdata/journey/json.txtar on a lab of its own. The script has
// the lab's variables and its directory $LAB, and the command
//
//	json STATUS ARG...
//
// which is rbdctl --output json, and demands an exit status and JSON.
func TestJSON(t *testing.T) {
	l := labtest.Lab(t, lab.Options{})
	binary := labtest.Build(t)
	testscript.Run(t, testscript.Params{
		Dir: filepath.Join("testdata", "journey"),
		Setup: func(e *testscript.Env) error {
			for _, v := range l.Env() {
				e.Setenv(v.Name, v.Value)
			}
			e.Setenv("LAB", l.Dir())
			e.Setenv("USER_ID", strconv.Itoa(os.Getuid()))
			e.Setenv("GROUP_ID", strconv.Itoa(os.Getgid()))
			e.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+os.Getenv("PATH"))
			return errors.Join(
				os.WriteFile(filepath.Join(e.WorkDir, "content.raw"), bytes.Repeat([]byte("a"), 1<<20), 0o600),
				os.WriteFile(filepath.Join(e.WorkDir, "other.raw"), bytes.Repeat([]byte("b"), 1<<20), 0o600))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": wantStatus, "json": wantJSON},
	})
}

func wantJSON(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: json STATUS ARG...")
	}
	wantStatus(ts, false, append([]string{args[0], programName, "--output", "json"}, args[1:]...))
	if out := ts.ReadFile("stdout"); out != "" && !json.Valid([]byte(out)) {
		ts.Fatalf("%v: standard output is not JSON", args[1:])
	}
	for line := range strings.Lines(ts.ReadFile("stderr")) {
		if !json.Valid([]byte(line)) {
			ts.Fatalf("%v: standard error has a line that is not JSON: %s", args[1:], line)
		}
	}
}

func wantStatus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits STATUS PROGRAM [ARG...]")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	if status := statusOf(err); status != want {
		ts.Fatalf("%v: exit status %d (%v), want %d", args[1:], status, err, want)
	}
}

func statusOf(err error) int {
	if err == nil {
		return 0
	}
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		return exit.ExitCode()
	}
	return -1
}
