package keyring

import (
	"context"
	"fmt"
	"strings"

	"rbdctl/internal/fault"
)

// Options of Issue. The zero value is right for nearly everybody.
type Options struct {
	DryRun       bool    // plan only
	AllowMissing bool    // caps may name pools that don't exist (yet)
	KeyType      KeyType // of new keys; "" means what the cluster prefers
}

// Issue makes the monitors agree with desired and returns what it did, or with
// DryRun would do. An entity that does not exist is created with a new key; one
// whose caps mean something else gets the whole set anew; its key is never
// changed. Everything is read back. A second call changes nothing.
//
// Before it changes anything it refuses, with kind ErrInvalid, what [Diff]
// refuses; with ErrNotFound a pool that does not exist; with ErrUnsupported a
// key type that the cluster can't make. An error after that says which entity it
// was; those before it, in order of name, are done. To go on, or after an
// unknown outcome, call it again.
//
// Similar To: ceph auth get-or-create, ceph auth caps.
func Issue(ctx context.Context, m monitor, desired []Params, opts Options) (Plan, error) {
	var entities []Entity
	for _, want := range desired {
		entities = append(entities, want.Entity)
	}
	if len(entities) == 0 {
		return nil, nil
	}
	if _, err := Diff(nil, desired); err != nil { // what is invalid is not even asked about
		return nil, err
	}
	if err := refuseMissing(ctx, m, desired, opts); err != nil {
		return nil, err
	}
	current, err := Read(ctx, m, entities...)
	if err != nil {
		return nil, err
	}
	plan, err := Diff(current, desired)
	if err != nil {
		return nil, err
	}
	if err := refuseKeyType(ctx, m, plan, opts.KeyType); err != nil || opts.DryRun {
		return plan, err
	}
	for i := range plan {
		if err := plan[i].apply(ctx, m, opts.KeyType); err != nil {
			return plan[:i], err
		}
	}
	return plan, nil
}

func refuseMissing(ctx context.Context, m monitor, desired []Params, opts Options) error {
	if opts.AllowMissing {
		return nil
	}
	var caps Caps
	for _, want := range desired {
		caps = append(caps, want.Caps...)
	}
	missing, err := missingPools(ctx, m, caps)
	if err != nil || len(missing) == 0 {
		return err
	}
	return fault.Newf(fault.ErrNotFound, "pools that the caps name do not exist: %s: create them with `rbdctl pools init`, or name others",
		strings.Join(missing, ", "))
}

// refuseKeyType makes sure that the keys that plan creates can be of type kind.
// A cluster that knows one type only makes the old one.
func refuseKeyType(ctx context.Context, m monitor, plan Plan, kind KeyType) error {
	if kind == "" {
		return nil
	}
	if kind != AES && kind != AES256K {
		return invalidf("unknown key type %q: want %s or %s", clip(string(kind)), AES, AES256K)
	}
	for _, c := range plan {
		if c.Action != Create {
			continue
		}
		choice, err := hasKeyTypes(ctx, m)
		if err != nil || choice || kind == AES {
			return err
		}
		return fault.Newf(fault.ErrUnsupported, "keys of type %s: this cluster can't make them, Ceph 19.2.6 or 20.2.4 can", kind)
	}
	return nil
}

// apply does the step c and reads it back.
func (c *Change) apply(ctx context.Context, m monitor, kind KeyType) error {
	cmd := command{Entity: c.Entity.String(), Caps: c.After.pairs()}
	switch c.Action {
	case Keep:
		return nil
	case Create:
		cmd.Prefix = "auth get-or-create"
		if kind != "" {
			choice, err := hasKeyTypes(ctx, m)
			if err != nil {
				return err
			}
			if choice {
				cmd.KeyType = string(kind)
			}
		}
	case Modify:
		cmd.Prefix = "auth caps" // replaces everything: it gets everything
	}
	// Its answer is no proof, nor is its refusal: someone else may have done the
	// same a moment before.
	refused := run(ctx, m, cmd, nil)
	if ctx.Err() != nil && refused != nil {
		return refused
	}
	now, err := Read(ctx, m, c.Entity)
	if err != nil {
		return err
	}
	got, exists := now.Find(c.Entity)
	switch {
	case exists && !c.Key.IsZero() && !got.Key.Equal(c.Key):
		return fmt.Errorf("entity %s: its key was changed by someone else meanwhile: look who, then try again", c.Entity)
	case exists && got.Caps.Equal(c.After):
		c.Key = got.Key
		return nil
	case refused != nil:
		return refused
	case !exists:
		return fmt.Errorf("entity %s: %s succeeded, but there is no such entity", c.Entity, cmd.Prefix)
	}
	return fmt.Errorf("entity %s: %s succeeded, but its caps are %s", c.Entity, cmd.Prefix, got.Caps)
}

// Remove deletes e and its key. Clients that run as e keep the tickets that they
// have, for hours, and then lose the cluster. A protected entity is an error of
// kind ErrInvalid, one that does not exist of kind ErrNotFound.
//
// Similar To: ceph auth rm.
func Remove(ctx context.Context, m monitor, e Entity) error {
	if err := refuseProtected(e); err != nil {
		return err
	}
	k, err := Read(ctx, m, e)
	if err != nil {
		return err
	}
	if _, exists := k.Find(e); !exists {
		return fault.Newf(fault.ErrNotFound, "entity %s does not exist", e)
	}
	if err := run(ctx, m, command{Prefix: "auth rm", Entity: e.String()}, nil); err != nil {
		return err
	}
	k, err = Read(ctx, m, e)
	if err != nil {
		return err
	}
	if _, exists := k.Find(e); exists {
		return fmt.Errorf("entity %s: auth rm succeeded, but it is still there", e)
	}
	return nil
}
