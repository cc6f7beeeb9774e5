//go:build cgo

package labtest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"rbdctl/rbd"
)

// native is what the tests of one package share of package rbd.
type native struct {
	cluster *rbd.Cluster
}

// end closes the shared connection and names the handles that stay open.
func (n *native) end() error {
	if n.cluster != nil {
		if err := n.cluster.Close(); err != nil {
			return err
		}
	}
	if open := rbd.Leaks(); len(open) > 0 {
		return fmt.Errorf("native handles still open: %s", strings.Join(open, ", "))
	}
	return nil
}

// Cluster returns an administrator's connection that the tests of the package
// share. It is closed when they have ended.
func Cluster(t testing.TB) *rbd.Cluster {
	t.Helper()
	conf := Conf(t)
	shared.mu.Lock()
	defer shared.mu.Unlock()
	if shared.native.cluster == nil {
		c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: conf, Entity: "client.admin"})
		if err != nil {
			t.Fatal(err)
		}
		shared.native.cluster = c
	}
	return shared.native.cluster
}

// Space returns a namespace for the test alone, in the package's pool, and the
// shared connection to use it with. When the test has ended its images are
// removed, and then the namespace; what cannot be removed fails the test.
func Space(t testing.TB) (cluster *rbd.Cluster, pool, namespace string) {
	t.Helper()
	cluster, pool = Cluster(t), Pool(t)
	namespace = newName(t.Name())
	if err := cluster.CreateNamespace(t.Context(), pool, namespace); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), toolTimeout)
		defer cancel()
		if err := empty(ctx, rbd.NewImages(cluster), pool, namespace); err != nil {
			t.Errorf("empty the test's namespace: %v", err)
			return
		}
		if err := cluster.RemoveNamespace(ctx, pool, namespace); err != nil {
			t.Error(err)
		}
	})
	return cluster, pool, namespace
}

// empty removes every image of a namespace. Clones hold their parents, so it
// goes round until none is left, or a round removes none.
func empty(ctx context.Context, images *rbd.Images, pool, namespace string) error {
	for {
		names, err := images.List(ctx, pool, namespace)
		if err != nil {
			return err
		}
		trash, err := images.TrashList(ctx, pool, namespace)
		if err != nil {
			return err
		}
		if len(names)+len(trash) == 0 {
			return nil
		}
		var errs []error
		for _, name := range names {
			errs = append(errs, removeImage(ctx, images, rbd.ImageSpec{Pool: pool, Namespace: namespace, Image: name}))
		}
		for _, entry := range trash {
			errs = append(errs, removeTrash(ctx, images, pool, namespace, entry.ID))
		}
		if err := errors.Join(errs...); err != nil && allFailed(errs) {
			return err
		}
	}
}

func allFailed(errs []error) bool {
	for _, err := range errs {
		if err == nil {
			return false
		}
	}
	return true
}

// removeImage removes an image with its snapshots. One that is gone meanwhile is
// success.
func removeImage(ctx context.Context, images *rbd.Images, spec rbd.ImageSpec) error {
	info, err := images.Stat(ctx, spec)
	if err != nil && !errors.Is(err, rbd.ErrNotFound) {
		return err
	}
	for _, snap := range info.Snapshots {
		at := spec.At(snap.Name)
		if snap.Protected {
			if err := images.Unprotect(ctx, at); err != nil {
				return err
			}
		}
		if err := images.RemoveSnapshot(ctx, at); err != nil {
			return err
		}
	}
	if err := images.Remove(ctx, spec); err != nil && !errors.Is(err, rbd.ErrNotFound) {
		return err
	}
	return nil
}

// removeTrash removes an image from the trash, by way of a name if it has
// snapshots.
func removeTrash(ctx context.Context, images *rbd.Images, pool, namespace, id string) error {
	err := images.TrashRemove(ctx, pool, namespace, id, true)
	if err == nil || errors.Is(err, rbd.ErrNotFound) {
		return nil
	}
	name := fmt.Sprintf("restored-%s-%d", id, time.Now().UnixNano())
	if restoring := images.TrashRestore(ctx, pool, namespace, id, name); restoring != nil {
		return errors.Join(err, restoring)
	}
	return nil // the next round removes it by its name
}
