package rbdctl_test

import (
	"debug/elf"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
)

// impure are the packages, and those below them, that may link Ceph's libraries or
// libvirt. Every other package of the module is pure: it compiles without cgo.
var impure = []string{
	"rbdctl/backends",
	"rbdctl/bench",
	"rbdctl/cmd",
	"rbdctl/internal/heap",
	"rbdctl/internal/lab/labtest",
	"rbdctl/internal/sidecar",
	"rbdctl/libvirtsecret",
	"rbdctl/rbd",
	"rbdctl/test",
}

// TestPureDependencies looks at all that a pure package links, however deep.
func TestPureDependencies(t *testing.T) {
	var pure []string
	for _, pkg := range strings.Fields(goTool(t, "list", "rbdctl/...")) {
		if pkg != "rbdctl" && !slices.ContainsFunc(impure, func(p string) bool { return within(pkg, p) }) {
			pure = append(pure, pkg)
		}
	}
	for _, promised := range []string{"rbdctl/internal/fault", "rbdctl/keyring", "rbdctl/pools"} {
		if !slices.Contains(pure, promised) {
			t.Errorf("%s is not among the pure packages %q", promised, pure)
		}
	}
	for _, pkg := range pure {
		t.Run(pkg, func(t *testing.T) { checkPure(t, pkg) })
	}
}

func checkPure(t *testing.T, pkg string) {
	// With cgo on, so that a file which hides behind the cgo tag counts too.
	const format = "{{.ImportPath}}{{if and .CgoFiles (not .Standard)}} cgo{{end}}"
	deps := goTool(t, "list", "-deps", "-f", format, pkg)
	for dep := range strings.Lines(deps) {
		dep, cgo := strings.CutSuffix(strings.TrimSpace(dep), " cgo")
		switch {
		case cgo:
			t.Errorf("links %s, which needs cgo", dep)
		case within(dep, "github.com/urfave/cli"), within(dep, "rbdctl/cmd"):
			t.Errorf("links %s: no package reaches back up to the commands", dep)
		}
	}
}

// within says whether pkg is root or below it.
func within(pkg, root string) bool { return pkg == root || strings.HasPrefix(pkg, root+"/") }

// TestLinkedLibraries looks at what the compiled program asks the dynamic linker
// for: Ceph's client libraries, and not libvirt, which a monitor host may lack.
func TestLinkedLibraries(t *testing.T) {
	program := filepath.Join(t.TempDir(), "rbdctl")
	goTool(t, "build", "-o", program, "rbdctl/cmd/rbdctl")
	file, err := elf.Open(program)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	needed, err := file.ImportedLibraries()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"librados.so.", "librbd.so."} {
		if !slices.ContainsFunc(needed, func(lib string) bool { return strings.HasPrefix(lib, want) }) {
			t.Errorf("links %q, want one %s*", needed, want)
		}
	}
	if i := slices.IndexFunc(needed, func(lib string) bool { return strings.HasPrefix(lib, "libvirt") }); i >= 0 {
		t.Errorf("links %s, want it loaded at run time: build with the tags of contrib/dev/tags.sh", needed[i])
	}
}

// goTool runs a go command with the build tags of this very test, and returns
// what it printed to stdout.
func goTool(t *testing.T, verb string, args ...string) string {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if !ok {
		t.Fatal("this test was built without build information")
	}
	for _, s := range info.Settings {
		if s.Key == "-tags" {
			args = append([]string{"-tags", s.Value}, args...)
		}
	}
	cmd := exec.CommandContext(t.Context(), "go", append([]string{verb}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v", cmd, err)
	}
	return string(out)
}
