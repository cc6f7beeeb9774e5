package libvirtsecret

import (
	"context"
	"encoding/base64"
	"errors"

	"libvirt.org/go/libvirt"

	"rbdctl/internal/fault"
)

// State is what is the matter with a stored key.
type State string

// The states, the most harmless first: Worse orders by this.
const (
	StateOK          State = "ok"
	StatePrivate     State = "private"     // libvirt does not give the value out: it can't be tried
	StateUnreachable State = "unreachable" // no monitor answered: nothing is known of the key
	StateNoPool      State = "no-pool"     // the key is good; the pool does not exist
	StateNoAccess    State = "no-access"   // the key is good; its caps don't let it into the pool
	StateNoValue     State = "no-value"    // a guest fails at once
	StateMissing     State = "missing"     // a guest fails at once
	StateGarbage     State = "garbage"     // the value is no cephx key: a guest fails with "Invalid argument"
	StateWrongKey    State = "wrong-key"   // a guest hangs for minutes, then fails
	StateFailed      State = "failed"      // the probe failed in another way; see Detail
)

// facts are how bad s is, the kind of error that it is, and what to tell.
func (s State) facts() (severity int, sentence string, kind error) {
	switch s {
	case StateOK:
		return 0, "", nil
	case StatePrivate:
		return 1, "libvirt gives the value of a private secret to guests only, so it can't be tried", ErrUnsupported
	case StateUnreachable:
		return 2, "the cluster does not answer, so the key could not be tried", ErrUnavailable
	case StateNoPool:
		return 3, "the pool does not exist", ErrNotFound
	case StateNoAccess:
		return 4, "the entity's caps don't let it read the pool", ErrDenied
	case StateNoValue:
		return 5, "the secret has no value: register it again", ErrNotFound
	case StateMissing:
		return 6, "there is no such secret: register it", ErrNotFound
	case StateGarbage:
		return 7, "the stored value is not a cephx key: register it again", ErrInvalid
	case StateWrongKey:
		return 8, "the cluster refuses the key: it is not the entity's, or there is no such entity, or it has no mon caps", ErrDenied
	case StateFailed:
	}
	return 9, "the key could not be tried", nil
}

// Worse tells whether s is worse than other.
func (s State) Worse(other State) bool {
	mine, _, _ := s.facts()
	theirs, _, _ := other.facts()
	return mine > theirs
}

// Check says what to verify.
type Check struct {
	Ref    string   // the secret, by UUID or usage name
	Entity string   // whose key it must be; a full cephx name
	Pools  []string // pools that the entity must be able to list; none: connecting is enough
}

// Verdict is the finding on one secret and, where the key itself is good, one
// pool.
type Verdict struct {
	Ref         string `json:"ref"`
	UUID        string `json:"uuid,omitempty"`
	Usage       string `json:"usage,omitempty"`
	Entity      string `json:"entity"`
	Pool        string `json:"pool,omitempty"`
	State       State  `json:"state"`
	Detail      string `json:"detail,omitempty"`
	Fingerprint string `json:"fingerprint,omitempty"`

	cause error
}

// Err is nil for StateOK, else an error of the kind that fits the state. It does
// not say at which libvirt.
func (v Verdict) Err() error {
	if v.State == StateOK {
		return nil
	}
	_, _, kind := v.State.facts()
	if kind == nil {
		kind = kindOf(v.cause)
	}
	subject := "secret " + v.Ref
	if v.Pool != "" {
		subject += " for pool " + v.Pool
	}
	return &fault.Error{Op: "verify", Subject: subject, Kind: kind, Err: errors.New(v.Detail)}
}

// prober connects to the cluster as entity with key, in its text form, and then
// lists the images of pool unless that is empty. Errors have the kinds of package
// fault. It must keep its own bounds on time, write key nowhere, and not keep it.
type prober interface {
	Probe(ctx context.Context, entity string, key []byte, pool string) error
}

// Verify takes the stored value of a secret and really connects to the cluster
// with it, through p. There is one verdict when the key does not get that far, or
// no pools are asked for; else one for each pool, in their order. The error is of
// libvirt; what is wrong with the secret is in the verdicts.
func (s *Store) Verify(ctx context.Context, check Check, p prober) ([]Verdict, error) {
	stored, err := s.stored(ctx, check)
	if err != nil {
		return nil, err
	}
	defer wipe(stored.key)
	if stored.verdict.State != StateOK {
		return []Verdict{stored.verdict}, nil
	}
	connected := stored.verdict.with("", p.Probe(ctx, check.Entity, stored.key, ""))
	if connected.State != StateOK || len(check.Pools) == 0 {
		return []Verdict{connected}, nil
	}
	verdicts := make([]Verdict, 0, len(check.Pools))
	for _, pool := range check.Pools {
		verdicts = append(verdicts, connected.with(pool, p.Probe(ctx, check.Entity, stored.key, pool)))
	}
	return verdicts, nil
}

// storedKey is the key of a secret as text, or the reason why there is none.
type storedKey struct {
	verdict Verdict
	key     []byte
}

func (s *Store) stored(ctx context.Context, check Check) (storedKey, error) {
	return look(ctx, s, "read", "secret "+check.Ref, func(_ context.Context, conn *libvirt.Connect) (storedKey, error) {
		v := Verdict{Ref: check.Ref, Entity: check.Entity}
		native, secret, err := findCeph(conn, check.Ref)
		if isKind(err, ErrNotFound) {
			return storedKey{verdict: v.in(StateMissing)}, nil
		}
		if err != nil {
			return storedKey{}, err
		}
		defer free(native)
		v.UUID, v.Usage = secret.UUID, secret.Usage

		raw, state, err := readValue(native, secret)
		defer wipe(raw)
		if err != nil {
			return storedKey{}, err
		}
		switch state {
		case ValueNone:
			return storedKey{verdict: v.in(StateNoValue)}, nil
		case ValuePrivate:
			return storedKey{verdict: v.in(StatePrivate)}, nil
		case ValueGarbage:
			return storedKey{verdict: v.in(StateGarbage)}, nil
		case ValueKey:
		}
		v.Fingerprint = fingerprint(raw)
		text := make([]byte, base64.StdEncoding.EncodedLen(len(raw)))
		base64.StdEncoding.Encode(text, raw)
		return storedKey{verdict: v.in(StateOK), key: text}, nil
	})
}

func (v Verdict) in(state State) Verdict {
	v.State = state
	_, v.Detail, _ = state.facts()
	return v
}

// with is the verdict that the probe of pool, or of the connection if pool is
// empty, leads to.
func (v Verdict) with(pool string, err error) Verdict {
	v.Pool, v.cause = pool, err
	switch {
	case err == nil:
		return v.in(StateOK)
	case errors.Is(err, ErrUnavailable), errors.Is(err, ErrOutcomeUnknown):
		return v.in(StateUnreachable)
	case errors.Is(err, ErrDenied) && pool == "":
		return v.in(StateWrongKey)
	case errors.Is(err, ErrDenied):
		return v.in(StateNoAccess)
	case errors.Is(err, ErrNotFound) && pool != "":
		return v.in(StateNoPool)
	}
	v = v.in(StateFailed)
	v.Detail += ": " + oneLine(err.Error())
	return v
}
