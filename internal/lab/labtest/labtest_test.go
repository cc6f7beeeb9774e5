//go:build cgo

package labtest_test

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

func TestMain(m *testing.M) { labtest.Main(m) }

func TestSpaceIsEmptiedAndRemoved(t *testing.T) {
	var cluster *rbd.Cluster
	var pool, ns string
	t.Run("a test that leaves everything behind", func(t *testing.T) {
		cluster, pool, ns = labtest.Space(t)
		images := rbd.NewImages(cluster)
		must := func(err error) {
			t.Helper()
			if err != nil {
				t.Fatal(err)
			}
		}
		image := func(name string) rbd.ImageSpec { return rbd.ImageSpec{Pool: pool, Namespace: ns, Image: name} }
		parent := image("parent").At("snap")
		must(images.Create(t.Context(), image("parent"), 4<<20, rbd.CreateOptions{}))
		must(images.CreateSnapshot(t.Context(), parent))
		must(images.Protect(t.Context(), parent))
		must(images.Clone(t.Context(), parent, image("a-clone"), rbd.CloneOptions{}))
		must(images.Clone(t.Context(), parent, image("z-clone"), rbd.CloneOptions{}))
		must(images.CreateSnapshot(t.Context(), image("z-clone").At("snap")))
		must(images.Create(t.Context(), image("trashed"), 4<<20, rbd.CreateOptions{}))
		must(images.CreateSnapshot(t.Context(), image("trashed").At("snap")))
		must(images.TrashMove(t.Context(), image("trashed"), time.Hour))
	})
	left, err := cluster.Namespaces(t.Context(), pool)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range left {
		if name == ns {
			t.Errorf("namespace %s is still there", ns)
		}
	}
}

func TestSpacesAreApart(t *testing.T) {
	_, pool, one := labtest.Space(t)
	_, other, two := labtest.Space(t)
	if pool != other {
		t.Errorf("two pools for one package: %s, %s", pool, other)
	}
	if one == two {
		t.Errorf("one namespace for two spaces: %s", one)
	}
}

func TestFreshPoolIsReadyAndGoesAway(t *testing.T) {
	name := ""
	t.Run("use", func(t *testing.T) {
		name = labtest.FreshPool(t)
		labtest.RBD(t, "create", "--size", "1M", name+"/image")
		if got := string(labtest.Ceph(t, "osd", "pool", "application", "get", name)); !strings.Contains(got, "rbd") {
			t.Errorf("applications of the pool: %s", got)
		}
	})
	if pools := string(labtest.Ceph(t, "osd", "pool", "ls")); strings.Contains(pools, name) {
		t.Errorf("pool %s is still there", name)
	}
}

func TestNeeds(t *testing.T) {
	ran := false
	t.Run("what every release has", func(t *testing.T) {
		labtest.Needs(t, 12, "images")
		ran = true
	})
	if !ran {
		t.Error("left out on a release that has the feature")
	}
	out, err := role(t, "needs", "RBDCTL_TEST_CEPH_CONF="+labtest.Conf(t)).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "time travel needs Ceph 99, this is ") {
		t.Errorf("exit %v, want a test that is left out and says why:\n%s", err, out)
	}
}

// The tests below run this binary once more, as a package whose tests go wrong.

const roleEnv = "LABTEST_TEST_ROLE"

// TestRole is no test of its own: it is what the child processes run.
func TestRole(t *testing.T) {
	switch os.Getenv(roleEnv) {
	case "leak":
		if _, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"}); err != nil {
			t.Fatal(err)
		}
	case "hang":
		if err := os.WriteFile(os.Getenv("LABTEST_TEST_FILE"), []byte(labtest.Conf(t)), 0o600); err != nil {
			t.Fatal(err)
		}
		select {}
	case "needs":
		labtest.Needs(t, 99, "time travel")
		t.Error("runs on a release that lacks the feature")
	case "no cluster":
		labtest.Conf(t)
	}
}

func role(t *testing.T, name string, env ...string) *exec.Cmd {
	t.Helper()
	if testing.Short() {
		t.Skip("needs a real cluster, which -short leaves out")
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRole$", "-test.v")
	cmd.Env = append(os.Environ(), append(env, roleEnv+"="+name)...)
	return cmd
}

func TestLeakedConnectionFailsThePackage(t *testing.T) {
	out, err := role(t, "leak", "RBDCTL_TEST_CEPH_CONF="+labtest.Conf(t)).CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("exit %v, want status 1:\n%s", err, out)
	}
	if !strings.Contains(string(out), "native handles still open") {
		t.Errorf("says nothing of the leak:\n%s", out)
	}
}

func TestNoClusterFailsTheTest(t *testing.T) {
	out, err := role(t, "no cluster", "RBDCTL_TEST_CEPH_CONF=/does/not/exist/ceph.conf").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "--- FAIL: TestRole") {
		t.Errorf("exit %v, want a failed test:\n%s", err, out)
	}
}

func TestKilledTestsLeaveNoLab(t *testing.T) {
	file := t.TempDir() + "/conf"
	cmd := role(t, "hang", "RBDCTL_TEST_CEPH_CONF=", "LABTEST_TEST_FILE="+file)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	conf := waitFor(t, func() (string, bool) {
		text, err := os.ReadFile(file)
		return string(text), err == nil && len(text) > 0
	})
	dir := strings.TrimSuffix(conf, "/ceph.conf")
	waitFor(t, func() (string, bool) {
		report, err := lab.Status(t.Context(), dir)
		return "", err == nil && report.Up
	})
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	waitFor(t, func() (string, bool) {
		_, err := os.Stat(dir)
		return "", errors.Is(err, os.ErrNotExist)
	})
}

// waitFor looks until look says that it is so, or the test's time is over.
func waitFor(t *testing.T, look func() (string, bool)) string {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	late := time.After(3 * time.Minute)
	for {
		if value, ok := look(); ok {
			return value
		}
		select {
		case <-tick.C:
		case <-late:
			t.Fatal("not within three minutes")
		}
	}
}
