package rbd_test

import (
	"errors"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

const aYear = 300 * 24 * time.Hour // at least

// TestGivenUpConnectionStaysOut: a connection that somebody blocklisted for a moment
// is kept out for good once all that ran on it has ended.
func TestGivenUpConnectionStaysOut(t *testing.T) {
	s := newSpace(t)
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"})
	s.must(err)
	defer c.Close()
	images, v := rbd.NewImages(c), s.image("v")
	s.must(images.Create(t.Context(), v, 8<<20, rbd.CreateOptions{}))
	end := rbd.Hold(t, c)
	address := c.Address()
	labtest.Ceph(t, "osd", "blocklist", "add", address, "60")
	for c.Address() == address {
		if _, err := images.Stat(t.Context(), v); err != nil && !errors.Is(err, rbd.ErrUnavailable) {
			t.Fatal(err)
		}
	}
	look := func() {
		_, err := images.Stat(t.Context(), v) // on the new one
		s.must(err)
	}
	look()
	if until := keptOut(t, address); until > time.Minute {
		t.Errorf("it is kept out for %s while something runs on it", until)
	}
	end()
	look()
	if until := keptOut(t, address); until < aYear {
		t.Errorf("it is kept out for %s only", until)
	}
}

// TestNotFoundIsNotBelieved of one who is shut out.
func TestNotFoundIsNotBelieved(t *testing.T) {
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := rbd.Believed(t, c); !errors.Is(err, rbd.ErrNotFound) {
		t.Errorf("of one who is not: %v, want not found", err)
	}
	labtest.Ceph(t, "osd", "blocklist", "add", c.Address(), "60")
	if err := rbd.Believed(t, c); !errors.Is(err, rbd.ErrUnavailable) || errors.Is(err, rbd.ErrNotFound) {
		t.Errorf("= %v, want unavailable", err)
	}
}

// TestOwnOldConnectionIsFenced: what a process began on a connection that it gave up,
// it takes on at once, and not before that connection is fenced.
func TestOwnOldConnectionIsFenced(t *testing.T) {
	s := inPool(t)
	for _, held := range []bool{false, true} {
		v, address := s.blank("v"), someAddress()
		rbd.LeaveOwn(t, s.images, v, rbd.Deed{Op: "delete"}, address, held)
		begin := time.Now()
		_, err := s.images.Extend(t.Context(), v, 16<<20)
		s.is(err, rbd.ErrNotFound)
		if took := time.Since(begin); took > rbd.Lease/2 {
			t.Errorf("held %t: it took %s", held, took)
		}
		if until := keptOut(t, address); until < aYear {
			t.Errorf("held %t: the old one is kept out for %s only", held, until)
		}
		s.purge(rbd.PurgeOptions{})
		s.isEmpty()
	}
}
