package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// onLab is runPools on a cluster.
func onLab(t *testing.T, conf, command string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return runPools(t, append([]string{command, "--ceph-conf", conf}, args...)...)
}

func poolNames(t *testing.T, conf string) []string {
	t.Helper()
	out, stderr, status := onLab(t, conf, "ls", "-o", "json")
	if status != 0 {
		t.Fatalf("pools ls: %d %s", status, stderr)
	}
	var list struct {
		Pools []poolRow `json:"pools"`
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, p := range list.Pools {
		names = append(names, p.Name)
	}
	return names
}

func TestPoolsInitAndRm(t *testing.T) {
	l := labtest.Lab(t, lab.Options{OSDs: 3, NoLibvirt: true})
	conf := l.ConfFile()
	changed := func() bool {
		t.Helper()
		out, stderr, status := onLab(t, conf, "init", "--output", "json")
		if status != 0 {
			t.Fatalf("status %d, %s", status, stderr)
		}
		var result struct {
			Changed *bool `json:"changed"`
		}
		if err := json.Unmarshal([]byte(out), &result); err != nil || result.Changed == nil {
			t.Fatalf("no .changed in %s: %v", out, err)
		}
		return *result.Changed
	}

	before := poolNames(t, conf)
	out, _, status := onLab(t, conf, "init", "--dry-run")
	if status != 0 || !strings.Contains(out, "create") {
		t.Errorf("dry run: status %d, %s", status, out)
	}
	for _, name := range []string{"volumes", "vms", "images", "backups"} {
		if slices.Contains(poolNames(t, conf), name) || slices.Contains(before, name) {
			t.Fatalf("a dry run made pool %s", name)
		}
	}
	if !changed() {
		t.Error("the first run changed nothing")
	}
	if changed() {
		t.Error("the second run changed something")
	}
	out, _, _ = onLab(t, conf, "init")
	if !strings.Contains(out, "nothing to change") {
		t.Errorf("the third run does not say that it changed nothing: %s", out)
	}
	if out, _, _ = onLab(t, conf, "ls"); !strings.Contains(out, "Cinder volumes") || !strings.Contains(out, "Glance images") {
		t.Errorf("ls: %s", out)
	}
	t.Run("rm", func(t *testing.T) { testPoolsRm(t, conf) })
}

// testPoolsRm takes one reason after the other away, until the pool may go.
func testPoolsRm(t *testing.T, conf string) {
	cluster, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: conf, Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	images := rbd.NewImages(cluster)
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	image := func(pool, namespace, name string) rbd.ImageSpec {
		return rbd.ImageSpec{Pool: pool, Namespace: namespace, Image: name}
	}
	refused := func(status int, text string, args ...string) {
		t.Helper()
		out, stderr, got := onLab(t, conf, "rm", args...)
		if got != status || !strings.Contains(stderr, text) || out != "" {
			t.Errorf("rm %q: status %d, stdout %q, stderr %q; want %d and %q", args, got, out, stderr, status, text)
		}
		if !slices.Contains(poolNames(t, conf), "images") {
			t.Fatal("the pool is gone")
		}
	}

	must(cluster.CreateNamespace(t.Context(), "images", "tenant"))
	parent := image("images", "tenant", "parent")
	must(images.Create(t.Context(), parent, 1<<20, rbd.CreateOptions{}))
	must(images.CreateSnapshot(t.Context(), parent.At("s")))
	must(images.Protect(t.Context(), parent.At("s")))
	clone := image("vms", "", "child")
	must(images.Clone(t.Context(), parent.At("s"), clone, rbd.CloneOptions{}))
	must(images.Create(t.Context(), image("images", "", "dropped"), 1<<20, rbd.CreateOptions{}))
	must(images.TrashMove(t.Context(), image("images", "", "dropped"), 0))

	refused(3, "no such pool", "--confirm", "nope", "nope")
	refused(5, "1 clone in other pools", "--with-images", "--confirm", "images", "images")
	refused(5, "clone  images/tenant/parent -> vms/child", "images")
	must(images.Remove(t.Context(), clone))
	refused(5, "1 image in the trash", "--with-images", "--confirm", "images", "images")
	trash, err := images.TrashList(t.Context(), "images", "")
	must(err)
	must(images.TrashRemove(t.Context(), "images", "", trash[0].ID, true))

	release := hold(t, conf, parent)
	refused(5, "1 open image (", "--with-images", "--confirm", "images", "images")
	release()
	refused(5, "1 image (move or remove them", "--confirm", "images", "images")
	refused(2, "repeat its name", "--with-images", "images")
	refused(2, "nothing was removed", "--with-images", "--confirm", "vms", "images")
	refused(2, "flags come before operands", "images", "--with-images")
	if _, stderr, status := onLab(t, conf, "rm", "--with-images", "--dry-run", "images"); status != 0 {
		t.Errorf("dry run: %d %s", status, stderr)
	}
	refused(2, "repeat its name", "--with-images", "images") // so the dry run left it

	out, stderr, status := onLab(t, conf, "rm", "--with-images", "--confirm", "images", "images")
	if status != 0 || out != "removed images\n" {
		t.Errorf("rm: status %d, stdout %q, stderr %q", status, out, stderr)
	}
	if slices.Contains(poolNames(t, conf), "images") {
		t.Error("the pool is still there")
	}
}

// hold opens an image as a guest does.
func hold(t *testing.T, conf string, spec rbd.ImageSpec) (release func()) {
	t.Helper()
	conn, err := rados.NewConnWithUser("admin")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.ReadConfigFile(conf); err != nil {
		t.Fatal(err)
	}
	if err := conn.Connect(); err != nil {
		t.Fatal(err)
	}
	ioctx, err := conn.OpenIOContext(spec.Pool)
	if err != nil {
		t.Fatal(err)
	}
	ioctx.SetNamespace(spec.Namespace)
	img, err := librbd.OpenImage(ioctx, spec.Image, librbd.NoSnapshot)
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := img.Close(); err != nil {
			t.Error(err)
		}
		ioctx.Destroy()
		conn.Shutdown()
	}
}
