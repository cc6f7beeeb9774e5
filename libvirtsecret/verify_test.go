package libvirtsecret

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"rbdctl/internal/fault"
)

// answers is a cluster that gives the recorded answers, by pool. The real one is
// tried by the tests of the verify command, which has the connection.
type answers map[string]error

func (a answers) Probe(_ context.Context, entity string, key []byte, pool string) error {
	if entity != "client.cinder" || string(key) != string(keyA) {
		return fault.New(fault.ErrInvalid, "the probe was not given the stored key")
	}
	return a[pool]
}

// Each finding on a stored value has its state, and none of them needs a cluster.
func TestVerifyStored(t *testing.T) {
	store := dial(t, testURI(t))
	unasked := answers{"": errors.New("the cluster was asked")}
	for _, tt := range []struct {
		name  string
		state State
		kind  error
		setUp func(t *testing.T, s Secret)
	}{
		{"missing", StateMissing, ErrNotFound, func(*testing.T, Secret) {}},
		{"no value", StateNoValue, ErrNotFound, func(t *testing.T, s Secret) { define(t, store, s) }},
		{"garbage", StateGarbage, ErrInvalid, func(t *testing.T, s Secret) {
			if err := define(t, store, s).SetValue([]byte("not base64!!"), 0); err != nil {
				t.Fatal(err)
			}
		}},
		{"private", StatePrivate, ErrUnsupported, func(t *testing.T, s Secret) {
			s.Private = true
			if err := define(t, store, s).SetValue(raw(t, keyA), 0); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := fresh(t, store)
			tt.setUp(t, s)
			got, err := store.Verify(t.Context(), Check{Ref: s.Usage, Entity: "client.cinder", Pools: []string{"a", "b"}}, unasked)
			if err != nil || len(got) != 1 {
				t.Fatalf("Verify = %+v, %v, want one verdict", got, err)
			}
			if got[0].State != tt.state || !errors.Is(got[0].Err(), tt.kind) {
				t.Errorf("Verify = %s, %v, want %s, %v", got[0].State, got[0].Err(), tt.state, tt.kind)
			}
		})
	}
}

func TestVerifyProbed(t *testing.T) {
	store := dial(t, testURI(t))
	s := fresh(t, store)
	register(t, store, s, keyA, outcome{ActionCreated, true})

	for _, tt := range []struct {
		name  string
		probe answers
		pools []string
		want  []State
		kinds []error
	}{
		{"connects", answers{}, nil, []State{StateOK}, []error{nil}},
		{
			name:  "pools",
			probe: answers{"b": ErrDenied, "c": ErrNotFound},
			pools: []string{"a", "b", "c"},
			want:  []State{StateOK, StateNoAccess, StateNoPool},
			kinds: []error{nil, ErrDenied, ErrNotFound},
		},
		{"refused", answers{"": ErrDenied}, []string{"a"}, []State{StateWrongKey}, []error{ErrDenied}},
		{"silent", answers{"": ErrUnavailable}, []string{"a"}, []State{StateUnreachable}, []error{ErrUnavailable}},
		{"let go", answers{"": ErrOutcomeUnknown}, nil, []State{StateUnreachable}, []error{ErrUnavailable}},
		{"silent later", answers{"a": ErrUnavailable}, []string{"a"}, []State{StateUnreachable}, []error{ErrUnavailable}},
		{"else", answers{"": ErrUnsupported}, nil, []State{StateFailed}, []error{ErrUnsupported}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := store.Verify(t.Context(), Check{Ref: s.UUID, Entity: "client.cinder", Pools: tt.pools}, tt.probe)
			if err != nil {
				t.Fatal(err)
			}
			var states []State
			for i, v := range got {
				states = append(states, v.State)
				if i < len(tt.kinds) && !errors.Is(v.Err(), tt.kinds[i]) {
					t.Errorf("verdict %d: %v, want kind %v", i, v.Err(), tt.kinds[i])
				}
				if v.UUID != s.UUID || v.Usage != s.Usage || v.Fingerprint == "" {
					t.Errorf("verdict %d lacks facts: %+v", i, v)
				}
			}
			if diff := cmp.Diff(tt.want, states); diff != "" {
				t.Errorf("states (-want +got)\n%s", diff)
			}
		})
	}
}

func TestWorse(t *testing.T) {
	order := []State{
		StateOK, StatePrivate, StateUnreachable, StateNoPool, StateNoAccess,
		StateNoValue, StateMissing, StateGarbage, StateWrongKey, StateFailed,
	}
	for i, a := range order {
		for j, b := range order {
			if a.Worse(b) != (i > j) {
				t.Errorf("%s.Worse(%s) = %v", a, b, a.Worse(b))
			}
		}
	}
}
