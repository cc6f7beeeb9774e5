package keyring

import (
	"fmt"
	"slices"
	"strings"
)

// Action is what a change does to an entity.
type Action string

// The actions.
const (
	Create Action = "create" // it does not exist: make it, with a new key
	Modify Action = "modify" // its caps mean something else: replace them; the key stays
	Keep   Action = "keep"   // it is as wanted
)

// Change is the step of one entity from what is to what is wanted.
type Change struct {
	Entity Entity
	Action Action
	Before Caps // what it may do now; nil when it does not exist
	After  Caps // what it is to be allowed
	Key    Key  // its key, once it exists
}

// Plan is the steps from what is to what is wanted, sorted by name; one for each
// desired entity.
type Plan []Change

// Changed reports whether p has any step that changes something.
func (p Plan) Changed() bool {
	return slices.ContainsFunc(p, func(c Change) bool { return c.Action != Keep })
}

// Diff compares the desired entities with the current ones. Entities of current
// that are not desired are none of its business. A protected entity, one that is
// desired twice, and one without caps or with an unknown profile are errors of
// kind ErrInvalid.
func Diff(current Keyring, desired []Params) (Plan, error) {
	var plan Plan
	for _, want := range desired {
		if err := validate(want); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(plan, func(c Change) bool { return c.Entity == want.Entity }) {
			return nil, invalidf("entity %s is wanted twice", want.Entity)
		}
		change := Change{Entity: want.Entity, Action: Create, After: want.Caps.sorted()}
		if have, ok := current.Find(want.Entity); ok {
			change.Action, change.Before, change.Key = Modify, have.Caps, have.Key
			if have.Caps.Equal(want.Caps) {
				change.Action = Keep
			}
		}
		plan = append(plan, change)
	}
	slices.SortFunc(plan, func(a, b Change) int { return strings.Compare(a.Entity.String(), b.Entity.String()) })
	return plan, nil
}

// validate checks what the monitors would let pass.
func validate(want Params) error {
	if _, err := ParseEntity(want.Entity.String()); err != nil {
		return err
	}
	if err := refuseProtected(want.Entity); err != nil {
		return err
	}
	if len(want.Caps) == 0 {
		return invalidf("entity %s is to have no caps: it could not even connect", want.Entity)
	}
	for _, c := range want.Caps {
		if c.Grant.kind == kindVerbatim {
			return invalidf("entity %s: %s cap %q is not understood", want.Entity, c.Daemon, clip(c.Grant.name))
		}
		if err := knownProfile(c); err != nil {
			return fmt.Errorf("entity %s: %w", want.Entity, err)
		}
	}
	return nil
}
