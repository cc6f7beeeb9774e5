package main

import (
	"strings"
	"testing"

	"github.com/ceph/go-ceph/rados"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

// put writes an object of a pool.
func (v volumesOn) put(oid string) {
	v.Helper()
	conn, err := rados.NewConnWithUser("admin")
	v.must(err)
	v.must(conn.ReadConfigFile(labtest.Conf(v)))
	v.must(conn.Connect())
	defer conn.Shutdown()
	ioctx, err := conn.OpenIOContext(v.Pool)
	v.must(err)
	defer ioctx.Destroy()
	v.must(ioctx.WriteFull(oid, []byte("x")))
}

func TestFsck(t *testing.T) {
	v := newVolumes(t)
	var j fsckJSON
	source := v.make("")
	clone := v.make(source)
	v.must(v.Delete(t.Context(), clone))
	v.answer(&j, 0, "fsck", v.Pool)
	if len(j.Findings) != 0 || j.Findings == nil || len(j.Repaired) != 0 {
		t.Errorf("a pool with a volume and a deleted one: %+v", j)
	}
	if out, _, status := v.run("fsck", v.Pool); status != 0 || out != "0 found, 0 repaired\n" {
		t.Errorf("status %d, %s", status, out)
	}

	v.put("stranger")
	labtest.RBD(t, "trash", "restore", "--pool", v.Pool, v.trash()["volume-"+clone].ID) // behind our back
	out, _, status := v.run("fsck", v.Pool)
	if status != 1 || !strings.Contains(out, rbd.ClassUnknown) || !strings.Contains(out, rbd.ClassStaleMark) || !strings.HasSuffix(out, "2 found, 0 repaired\n") {
		t.Errorf("status %d\n%s", status, out)
	}
	v.answer(&j, 1, "fsck", "--repair", v.Pool)
	if len(j.Findings) != 1 || j.Findings[0].Object != "stranger" || j.Findings[0].Repairable {
		t.Errorf("left after the repair: %+v", j.Findings)
	}
	if len(j.Repaired) != 1 || j.Repaired[0].Class != rbd.ClassStaleMark {
		t.Errorf("repaired: %+v", j.Repaired)
	}
	if _, err := v.Get(t.Context(), clone); err != nil {
		t.Errorf("the image that was restored: %v", err)
	}
	if out, errOut, status := v.run("fsck", "nopool"); status != 3 || out != "" || strings.Count(errOut, "\n") != 1 {
		t.Errorf("a pool that is not there: status %d, %s%s", status, out, errOut)
	}
	if out, errOut, status := onlyText(t, "fsck", v.Pool, "--repair"); status != 2 || out != "" {
		t.Errorf("a flag after an operand: status %d, %s%s", status, out, errOut)
	}
}

// TestFsckOfTheStandardPools: without an operand it looks at those that there are.
func TestFsckOfTheStandardPools(t *testing.T) {
	l := labtest.Lab(t, lab.Options{NoLibvirt: true})
	if _, errOut, status := onLab(t, l.ConfFile(), "ls"); status != 0 {
		t.Fatal(errOut)
	}
	t.Setenv("CEPH_CONF", l.ConfFile())
	if out, errOut, status := onlyText(t, "fsck"); status != 3 || out != "" || !strings.Contains(errOut, "name a pool") {
		t.Errorf("none: status %d, %s%s", status, out, errOut)
	}
	if _, errOut, status := onlyText(t, "pools", "init"); status != 0 {
		t.Fatal(errOut)
	}
	out, errOut, status := onlyText(t, "--output", "json", "fsck")
	if status != 0 || !strings.Contains(out, `"findings": []`) || !strings.Contains(out, `"vms"`) {
		t.Errorf("the standard pools: status %d, %s%s", status, out, errOut)
	}
}
