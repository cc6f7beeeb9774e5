package rbd_test

import (
	"errors"
	"testing"
	"time"

	"rbdctl/internal/lab/labtest"
	"rbdctl/rbd"
)

const aYear = 365 * 24 * time.Hour

// TestGivenUpConnectionStaysOut: a connection that somebody blocklisted for a moment is
// kept out when that is over, also while something hangs on it.
func TestGivenUpConnectionStaysOut(t *testing.T) {
	s := newSpace(t)
	v := s.image("v")
	s.must(s.images.Create(t.Context(), v, 8<<20, rbd.CreateOptions{}))
	for _, hangs := range []bool{false, true} {
		c := service(t)
		images, address := rbd.NewImages(c), c.Address()
		end := func() {}
		if hangs {
			end = rbd.Hold(t, c)
		}
		labtest.Ceph(t, "osd", "blocklist", "add", address, "30")
		eventually(t, 2*time.Minute, func() bool {
			if _, err := images.Stat(t.Context(), v); err != nil {
				s.is(err, rbd.ErrUnavailable)
			}
			return c.Address() != address
		})
		eventually(t, 2*time.Minute, func() bool {
			_, err := images.Stat(t.Context(), v) // on the new one
			s.must(err)
			return keptOut(t, address) > aYear/2
		})
		end()
	}
}

// TestNotFoundIsNotBelieved of one who is shut out.
func TestNotFoundIsNotBelieved(t *testing.T) {
	c, err := rbd.Dial(t.Context(), rbd.Config{ConfFile: labtest.Conf(t), Entity: "client.admin"})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := rbd.ConfirmNotFound(t, c); !errors.Is(err, rbd.ErrNotFound) {
		t.Errorf("of one who is not: %v, want not found", err)
	}
	labtest.Ceph(t, "osd", "blocklist", "add", c.Address(), "60")
	if err := rbd.ConfirmNotFound(t, c); !errors.Is(err, rbd.ErrUnavailable) || errors.Is(err, rbd.ErrNotFound) {
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
		if took := time.Since(begin); took > rbd.Lease*2/3 {
			t.Errorf("held %t: it took %s", held, took)
		}
		if until := keptOut(t, address); until < aYear/2 {
			t.Errorf("held %t: the old one is kept out for %s only", held, until)
		}
		s.purge(rbd.PurgeOptions{})
		s.isEmpty()
	}
}
