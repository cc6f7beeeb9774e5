package labtest

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab"
)

// toolTimeout bounds one command of Ceph's.
const toolTimeout = time.Minute

// Ceph runs the real ceph command on the test's cluster, as client.admin unless
// args say otherwise, and returns its standard output. Its failure fails the test.
func Ceph(t testing.TB, args ...string) []byte {
	t.Helper()
	return mustRun(t, Conf(t), "ceph", args...)
}

// RBD is [Ceph] for the rbd command.
func RBD(t testing.TB, args ...string) []byte {
	t.Helper()
	return mustRun(t, Conf(t), "rbd", args...)
}

func mustRun(t testing.TB, conf, name string, args ...string) []byte {
	t.Helper()
	out, err := run(conf, name, args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// run has a bound and not the test's context, so that cleanups can use it.
func run(conf, name string, args ...string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), toolTimeout)
	defer cancel()
	cmd := lab.Command(ctx, conf, name, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, strings.TrimSpace(complaint.String()))
	}
	return out, nil
}

// Needs leaves the test out on a cluster older than the given release (16 is
// Pacific, 18 is Reef), which does not have feature. On that release and newer
// the test runs, and must pass.
func Needs(t testing.TB, release int, feature string) {
	t.Helper()
	text := string(Ceph(t, "version"))
	var have int
	if _, err := fmt.Sscanf(text, "ceph version %d.", &have); err != nil {
		t.Fatalf("no release in %q: %v", text, err)
	}
	if have < release {
		t.Skipf("%s needs Ceph %d, this is %d", feature, release, have)
	}
}
