package rbd_test

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"rbdctl/rbd"
)

// TestCloneAndSourceAtOnce: clones and what they were made of are deleted at the
// same moment, while two processes purge all the time. No delete fails, no clone
// loses the snapshot that it waits for, and nothing is left.
func TestCloneAndSourceAtOnce(t *testing.T) {
	s := inPool(t)
	var ended atomic.Bool
	var purgers, rounds sync.WaitGroup
	for _, m := range []*rbd.Images{s.images, stranger(t)} {
		purgers.Go(func() {
			for !ended.Load() {
				if _, err := m.Purge(t.Context(), s.pool, rbd.PurgeOptions{}); err != nil {
					t.Errorf("Purge: %v", err)
				}
			}
		})
	}
	for worker := range 4 {
		rounds.Go(func() {
			for n := range 8 {
				if err := s.cloneAndDelete(fmt.Sprintf("%d-%d", worker, n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	rounds.Wait()
	ended.Store(true)
	purgers.Wait()
	for range 2 { // what one purger left for the other
		s.purge(rbd.PurgeOptions{})
	}
	s.isEmpty()
}

func (s space) cloneAndDelete(name string) error {
	source, clone := s.image("source-"+name), s.image("clone-"+name)
	if _, err := s.images.Ensure(s.Context(), rbd.Want{Image: source, Size: 8 << 20}); err != nil {
		return err
	}
	at := source.At(clone.Image + ".clone_snap")
	if _, err := s.images.EnsureSnapshot(s.Context(), at, rbd.SnapOptions{Protect: true}); err != nil {
		return err
	}
	if _, err := s.images.Ensure(s.Context(), rbd.Want{Image: clone, Size: 8 << 20, Parent: &at, Protected: true}); err != nil {
		return err
	}
	second := make(chan error)
	go func() { second <- s.images.Delete(s.Context(), clone, rbd.DeleteOptions{}) }()
	first := s.images.Delete(s.Context(), source, rbd.DeleteOptions{})
	if err := <-second; err != nil {
		return err
	}
	return first
}
