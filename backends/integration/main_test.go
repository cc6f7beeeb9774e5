package integration

import (
	"bytes"
	"context"
	"testing"

	"rbdctl/internal/fault"
	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
	"rbdctl/internal/spec"
	"rbdctl/rbd"
)

func TestMain(m *testing.M) { labtest.Main(m) }

// world is a lab of the test's own, because the standard names are taken but once
// on a cluster, and an administrator's connection to it.
type world struct {
	*lab.Lab
	cluster *rbd.Cluster
	wish    spec.Spec // the standard integration with the lab's libvirt
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{Lab: labtest.Lab(t, lab.Options{}), wish: spec.Standard()}
	cluster, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: w.ConfFile(), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cluster.Close(); err != nil {
			t.Error(err)
		}
	})
	w.cluster = cluster
	w.wish.Nodes = []spec.Node{{Name: "node1", URI: w.LibvirtURI()}}
	return w
}

// tool runs a program of the distribution's on the lab.
func (w *world) tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := lab.Command(context.Background(), w.ConfFile(), name, args...)
	var complaint bytes.Buffer
	cmd.Stderr = &complaint
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v: %s", name, args, err, complaint.String())
	}
	return string(out)
}

func (w *world) plan(t *testing.T) Plan {
	t.Helper()
	plan, err := NewPlan(t.Context(), w.cluster, w.wish)
	if err != nil {
		t.Fatal(err)
	}
	return plan
}

func (w *world) apply(t *testing.T) Result {
	t.Helper()
	result, err := Apply(t.Context(), w.cluster, w.plan(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// pending are the items of a plan that are not kept.
func pending(p Plan) []string {
	out := []string{}
	for _, i := range p.Items {
		if i.Action != Keep {
			out = append(out, string(i.Action)+" "+i.String())
		}
	}
	return out
}

var errDead = fault.New(fault.ErrUnavailable, "the process was killed")
