package labtest

import (
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"
)

// Build compiles the rbdctl command, with the build tags of this test and more,
// and returns the binary. It is gone when the test has ended.
func Build(t testing.TB, more ...string) string {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("no build information to take the tags from")
	}
	for _, setting := range info.Settings {
		if setting.Key == "-tags" {
			more = append(more, setting.Value)
		}
	}
	binary := filepath.Join(t.TempDir(), "rbdctl")
	build := exec.Command("go", "build", "-tags", strings.Join(more, ","), "-o", binary, "rbdctl/cmd/rbdctl")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}
