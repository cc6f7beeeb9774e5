package labtest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime/pprof"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"rbdctl/internal/lab"
)

// The environment that names a cluster to use instead of an own lab.
const (
	confEnv    = "RBDCTL_TEST_CEPH_CONF"
	libvirtEnv = "RBDCTL_TEST_LIBVIRT_URI"
)

// Option changes what [Main] sets up.
type Option func(*suite)

// OSDs makes a lab of the package's own have n OSDs; it has one otherwise. A
// cluster from the environment is as it is.
func OSDs(n int) Option { return func(s *suite) { s.osds = n } }

// Main runs the tests of a package and exits. It removes the pools that this
// package's functions made, ends the package's own lab, and fails the package
// when a native handle is still open, or a goroutine goes on.
func Main(m *testing.M, opts ...Option) {
	if dir := os.Getenv(guardEnv); dir != "" {
		os.Exit(guardMain(dir))
	}
	shared.main, shared.osds = true, 1
	for _, opt := range opts {
		opt(&shared)
	}
	code := m.Run()
	if err := errors.Join(shared.end(), goroutines()); err != nil {
		fmt.Fprintln(os.Stderr, "labtest:", err)
		code = max(code, 1)
	}
	os.Exit(code)
}

// goroutines names those that go on although all tests have ended. Those that wait for
// the daemons of a lab may: a lab can outlive the process that has brought it up.
func goroutines() error {
	return goleak.Find(goleak.IgnoreAnyFunction("rbdctl/internal/lab.(*Lab).spawn.func1"))
}

// suite is what the tests of one package share.
type suite struct {
	main bool // Main was called
	osds int

	mu     sync.Mutex
	conf   string
	failed error    // why there is no cluster; the same for every test
	own    *lab.Lab // nil with a cluster from the environment
	guard  *guard
	pool   string // the package's
	native native
}

// shared is the one suite of a test binary: helpers get nothing but the test.
var shared suite //nolint:gochecknoglobals // there is one test binary, and helpers are not handed anything of it

// end gives back everything and says what was left open.
func (s *suite) end() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	errs := []error{s.native.end()}
	if errs[0] != nil {
		_ = pprof.Lookup("goroutine").WriteTo(os.Stderr, 2)
	}
	switch {
	case s.guard != nil: // the pools go with the lab
		errs = append(errs, s.guard.end())
	case s.pool != "":
		errs = append(errs, removePool(s.conf, s.pool))
	}
	return errors.Join(errs...)
}

// cluster returns the ceph.conf to use, and makes the own lab at the first call.
func (s *suite) cluster(t testing.TB) string {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real cluster, which -short leaves out")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conf == "" && s.failed == nil {
		s.conf, s.failed = s.open()
	}
	if s.failed != nil {
		t.Fatalf("no cluster for this test: %v", s.failed)
	}
	return s.conf
}

func (s *suite) open() (string, error) {
	if !s.main {
		return "", errors.New("labtest.Main is not called by TestMain of this package")
	}
	if conf := os.Getenv(confEnv); conf != "" {
		if _, err := os.Stat(conf); err != nil {
			return "", fmt.Errorf("%s: %w", confEnv, err)
		}
		return conf, nil
	}
	dir, err := tempDir()
	if err != nil {
		return "", err
	}
	if s.guard, err = startGuard(dir); err != nil {
		return "", err
	}
	s.own, err = bringUp(s.options(dir))
	if err != nil {
		return "", err
	}
	return s.own.ConfFile(), nil
}

// options are those of the own lab; libvirt is added when a test asks for it.
func (s *suite) options(dir string) lab.Options {
	return lab.Options{Dir: dir, OSDs: s.osds, Store: lab.MemStore, FastMon: true, NoLibvirt: true}
}

// bringUp is lab.Up with a bound of its own: the lab outlives the test that
// happened to ask first.
func bringUp(o lab.Options) (*lab.Lab, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	return lab.Up(ctx, o)
}

// tempDir makes a directory that libvirtd's user can pass through.
func tempDir() (string, error) {
	dir, err := os.MkdirTemp("", "labtest-")
	if err != nil {
		return "", err
	}
	return dir, os.Chmod(dir, 0o755)
}

// Conf returns the path of the cluster's ceph.conf. It is all that a client
// needs: the administrator's keyring is named in it.
func Conf(t testing.TB) string {
	t.Helper()
	return shared.cluster(t)
}

// LibvirtURI returns the URI of a libvirt with working secrets and QEMU.
func LibvirtURI(t testing.TB) string {
	t.Helper()
	shared.cluster(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.own == nil {
		uri := os.Getenv(libvirtEnv)
		if uri == "" {
			t.Fatalf("no libvirt for this test: %s is set and %s is not", confEnv, libvirtEnv)
		}
		return uri
	}
	if shared.own.LibvirtURI() == "" {
		o := shared.options(shared.own.Dir())
		o.NoLibvirt = false
		l, err := bringUp(o)
		if err != nil {
			t.Fatalf("no libvirt for this test: %v", err)
		}
		shared.own = l
	}
	return shared.own.LibvirtURI()
}
