package libvirtsecret

import (
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
)

// outcome is what a test compares of a Result.
type outcome struct {
	action  Action
	changed bool
}

func register(t *testing.T, store *Store, s Secret, key Key, want outcome, adopt ...string) Result {
	t.Helper()
	planned, err := store.Plan(t.Context(), s, key, adopt...)
	if err != nil {
		t.Fatalf("Plan: %v", err)
	}
	got, err := store.Register(t.Context(), s, key, adopt...)
	if err != nil {
		t.Fatalf("Register: %v", err)
	}
	if diff := cmp.Diff(planned, got); diff != "" {
		t.Errorf("Register did not do what Plan said (-plan +done)\n%s", diff)
	}
	if (outcome{got.Action, got.Changed}) != want {
		t.Errorf("Register = %s, changed %v, want %s, changed %v", got.Action, got.Changed, want.action, want.changed)
	}
	return got
}

// A secret lives through creation, repetition, a new key and new attributes.
func TestRegister(t *testing.T) {
	store := dial(t, testURI(t))
	s := fresh(t, store)

	got := register(t, store, s, keyA, outcome{ActionCreated, true})
	if got.Secret != s {
		t.Errorf("registered %+v, want %+v", got.Secret, s)
	}
	first := got.Fingerprint
	wantValue(t, store, s.UUID, keyA)

	register(t, store, s, keyA, outcome{ActionUnchanged, false})

	got = register(t, store, s, keyB, outcome{ActionUpdated, true})
	wantValue(t, store, s.UUID, keyB)
	if got.Fingerprint == first {
		t.Error("two keys have one fingerprint")
	}

	s.Description = "another <description>"
	register(t, store, s, keyB, outcome{ActionUpdated, true})
	s.Ephemeral = true
	register(t, store, s, keyB, outcome{ActionUpdated, true})
	s.Ephemeral = false
	register(t, store, s, keyB, outcome{ActionUpdated, true})
	register(t, store, s, keyB, outcome{ActionUnchanged, false})
	wantValue(t, store, s.UUID, keyB)

	register(t, store, s, keyLong, outcome{ActionUpdated, true})
	wantValue(t, store, s.UUID, keyLong)
}

// The value of a private secret can't be compared, so it is always written; and
// libvirt never makes it readable again.
func TestRegisterPrivate(t *testing.T) {
	store := dial(t, testURI(t))
	s := fresh(t, store)
	register(t, store, s, keyA, outcome{ActionCreated, true})

	s.Private = true
	register(t, store, s, keyA, outcome{ActionUpdated, true})
	register(t, store, s, keyA, outcome{ActionUpdated, true})

	native, err := find(store.conn, s.UUID)
	if err != nil || native == nil {
		t.Fatal(native, err)
	}
	defer free(native)
	if _, err := native.GetValue(0); !isKind(err, ErrDenied) {
		t.Errorf("value of a private secret: %v, want kind %v", err, ErrDenied)
	}

	s.Private = false
	_, err = store.Register(t.Context(), s, keyA)
	if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "private") {
		t.Errorf("Register as readable = %v, want %v", err, ErrInvalid)
	}
	doc, err := marshalXML(s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.conn.SecretDefineXML(doc, 0); !isKind(err, ErrInvalid) {
		t.Errorf("libvirt itself answers %v of kind %v, want %v", err, kindOf(err), ErrInvalid)
	}
}

// A secret that another tool, or an interrupted run, left is used as it is.
func TestRegisterAdopts(t *testing.T) {
	store := dial(t, testURI(t))
	elsewhere := func(usage string) Secret {
		return Secret{UUID: uuid.NewString(), Usage: usage, Description: "by hand"}
	}

	t.Run("same usage", func(t *testing.T) {
		s := fresh(t, store)
		theirs := elsewhere(s.Usage)
		define(t, store, theirs)
		got := register(t, store, s, keyA, outcome{ActionAdopted, true})
		if diff := cmp.Diff(theirs, got.Secret); diff != "" {
			t.Errorf("the adopted secret changed (-before +after)\n%s", diff)
		}
		register(t, store, s, keyA, outcome{ActionAdopted, false})
		wantValue(t, store, theirs.UUID, keyA)
	})
	t.Run("usage on request", func(t *testing.T) {
		s := fresh(t, store)
		known := "client.cinder secret " + s.UUID
		theirs := elsewhere(known)
		if err := define(t, store, theirs).SetValue(raw(t, keyB), 0); err != nil {
			t.Fatal(err)
		}
		got := register(t, store, s, keyA, outcome{ActionAdopted, true}, "no such usage", known)
		if got.UUID != theirs.UUID || got.Usage != known {
			t.Errorf("adopted %+v, want %+v", got.Secret, theirs)
		}
		register(t, store, s, keyA, outcome{ActionAdopted, false}, known)
		wantValue(t, store, theirs.UUID, keyA)

		s.Private = true
		if got := register(t, store, s, keyA, outcome{ActionAdopted, true}, known); !got.Private {
			t.Error("the adopted secret is not private, as was asked for")
		}
	})
	t.Run("defined without a value", func(t *testing.T) {
		s := fresh(t, store)
		define(t, store, s)
		register(t, store, s, keyA, outcome{ActionUpdated, true})
		wantValue(t, store, s.UUID, keyA)
	})
	t.Run("garbage value", func(t *testing.T) {
		s := fresh(t, store)
		if err := define(t, store, s).SetValue([]byte("not base64!!"), 0); err != nil {
			t.Fatal(err)
		}
		register(t, store, s, keyA, outcome{ActionUpdated, true})
		wantValue(t, store, s.UUID, keyA)
	})
}

func TestRegisterRefuses(t *testing.T) {
	store := dial(t, testURI(t))
	taken := fresh(t, store)
	taken.Usage += " of somebody else"
	define(t, store, taken)
	passphrase := uuid.NewString()
	native, err := store.conn.SecretDefineXML("<secret><uuid>"+passphrase+"</uuid><usage type='volume'><volume>/"+passphrase+"</volume></usage></secret>", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = native.Undefine(); free(native) })

	for _, tt := range []struct {
		name   string
		change func(*Secret)
		key    Key
		want   error
		text   string // part of the message
	}{
		{"uuid of another usage", func(s *Secret) { s.UUID = taken.UUID }, keyA, ErrExists, taken.Usage},
		{"uuid of another type", func(s *Secret) { s.UUID = passphrase }, keyA, ErrExists, `"volume"`},
		{"no key", func(*Secret) {}, testKey(""), ErrInvalid, "not a cephx key"},
		{"garbage key", func(*Secret) {}, testKey("not base64!!"), ErrInvalid, "not a cephx key"},
		{"no usage", func(s *Secret) { s.Usage = "" }, keyA, ErrInvalid, "no usage"},
		{"bad uuid", func(s *Secret) { s.UUID = "1" }, keyA, ErrInvalid, "uuid"},
		{"control character", func(s *Secret) { s.Usage += "\x1b[2J" }, keyA, ErrInvalid, "usage name"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := fresh(t, store)
			tt.change(&s)
			_, err := store.Register(t.Context(), s, tt.key)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
				t.Fatalf("Register = %v, want %v with %q", err, tt.want, tt.text)
			}
			if strings.ContainsAny(err.Error(), "\n\x1b") {
				t.Errorf("message is not one clean line: %q", err)
			}
			if s.Usage == "" {
				return
			}
			if left, err := find(store.conn, s.Usage); left != nil || err != nil {
				t.Errorf("something was left: %v, %v", left, err)
			}
		})
	}
}

// Many register at once: those who agree on the UUID all succeed, and of those
// who don't, one creates it and the others adopt.
func TestRegisterAtOnce(t *testing.T) {
	uri := testURI(t)
	first := dial(t, uri)
	stores := []*Store{first, dial(t, uri)}
	same := fresh(t, first)

	results := atOnce(t, 8, func(i int) (Result, error) {
		return stores[i%2].Register(t.Context(), same, keyA)
	})
	for _, r := range results {
		if r.UUID != same.UUID || r.Action == ActionAdopted {
			t.Errorf("registered %+v, want uuid %s, not adopted", r, same.UUID)
		}
	}

	usage := fresh(t, first).Usage
	results = atOnce(t, 8, func(i int) (Result, error) {
		return stores[i%2].Register(t.Context(), Secret{UUID: uuid.NewString(), Usage: usage}, keyA)
	})
	created := 0
	for _, r := range results {
		if r.UUID != results[0].UUID {
			t.Errorf("two uuids for one usage: %s and %s", r.UUID, results[0].UUID)
		}
		if r.Action == ActionCreated {
			created++
		}
	}
	if created != 1 {
		t.Errorf("%d created it, want 1", created)
	}
	wantValue(t, first, usage, keyA)
}

func atOnce(t *testing.T, n int, fn func(i int) (Result, error)) []Result {
	t.Helper()
	results := make([]Result, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			r, err := fn(i)
			if err != nil {
				t.Errorf("%d: %v", i, err)
			}
			results[i] = r
		})
	}
	close(start)
	wg.Wait()
	return results
}
