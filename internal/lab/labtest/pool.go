package labtest

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Pool returns the package's pool: application rbd, initialized, 8 PGs, as many
// copies as the cluster gives by default. It is made at the first call and
// removed when the package's tests have ended.
func Pool(t testing.TB) string {
	t.Helper()
	conf := Conf(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.pool == "" {
		name := newName(strings.TrimSuffix(filepath.Base(os.Args[0]), ".test"))
		if err := makePool(conf, name); err != nil {
			t.Fatal(err)
		}
		shared.pool = name
	}
	return shared.pool
}

// FreshPool makes a pool like that of [Pool] for the test alone, which takes a
// second or two. It is removed when the test has ended, if it is still there.
func FreshPool(t testing.TB) string {
	t.Helper()
	conf := Conf(t)
	name := newName("test")
	t.Cleanup(func() {
		if err := removePool(conf, name); err != nil {
			t.Error(err)
		}
	})
	if err := makePool(conf, name); err != nil {
		t.Fatal(err)
	}
	return name
}

// makePool makes one whose pg_num stays: PGs that split make timings wander.
func makePool(conf, name string) error {
	if _, err := run(conf, "ceph", "osd", "pool", "create", name, "8", "8", "--autoscale-mode=off"); err != nil {
		return err
	}
	_, err := run(conf, "rbd", "pool", "init", name)
	return err
}

// removePool removes a pool with all that is in it; one that is gone is success.
func removePool(conf, name string) error {
	_, err := run(conf, "ceph", "osd", "pool", "rm", name, name, "--yes-i-really-really-mean-it")
	return err
}

// newName is a name that no other test has: prefix and some random letters.
func newName(prefix string) string {
	safe := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			return r
		}
		return '-'
	}, prefix)
	const enough = 40
	if len(safe) > enough {
		safe = safe[:enough]
	}
	return safe + "-" + strings.ToLower(rand.Text()[:8])
}
