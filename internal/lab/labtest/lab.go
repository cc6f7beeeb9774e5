package labtest

import (
	"testing"

	"rbdctl/internal/lab"
)

// Lab brings up a lab for the test alone, for one that stops daemons or needs
// certain options. Dir may be empty. It is taken down when the test has ended,
// however it ends. Zero options mean a test's defaults here: one memstore OSD, a
// monitor that decides quickly.
func Lab(t testing.TB, o lab.Options) *lab.Lab {
	t.Helper()
	o = withTestDefaults(o)
	o.Dir = LabDir(t, o.Dir)
	l, err := bringUp(o)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// LabDir returns a directory in which the test may bring up and take down labs
// by itself; what it leaves there is taken down when the test has ended. Without
// a name it makes a temporary one.
func LabDir(t testing.TB, dir string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real cluster, which -short leaves out")
	}
	if !shared.main {
		t.Fatal("labtest.Main is not called by TestMain of this package")
	}
	var err error
	if dir == "" {
		if dir, err = tempDir(); err != nil {
			t.Fatal(err)
		}
	}
	g, err := startGuard(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.end(); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func withTestDefaults(o lab.Options) lab.Options {
	if o.OSDs == 0 {
		o.OSDs = 1
	}
	if o.Store == "" {
		o.Store = lab.MemStore
	}
	o.FastMon = true
	return o
}
