package libvirtsecret

import (
	"context"

	"libvirt.org/go/libvirt"

	"rbdctl/internal/fault"
)

// Action says what became of a secret that was to be registered.
type Action string

// The actions. A second equal Register gives ActionUnchanged, or ActionAdopted
// with Changed false; a private secret is always ActionUpdated, since its value
// can't be compared.
const (
	ActionCreated   Action = "created"
	ActionUpdated   Action = "updated"
	ActionUnchanged Action = "unchanged"
	ActionAdopted   Action = "adopted" // exists with a UUID or usage name of its own, and keeps it
)

// Result is the state that Register left.
type Result struct {
	Secret             // as it is in libvirt; the UUID is the one that Cinder and Nova must be told
	Action      Action `json:"action"`
	Changed     bool   `json:"changed"` // something was written
	Fingerprint string `json:"fingerprint"`
}

// Register makes libvirt hold key under the secret want, and reads it back.
//
// A secret that has want's usage name already, or the first that has one of the
// usage names in adopt, is used instead of a new one. It keeps its UUID, usage
// name, description and lifetime; it becomes private if want is. Its value is
// written only where it differs. Nothing is ever undefined to be defined anew, so
// a guest that starts meanwhile finds the old key or the new one, never none.
// Many may register at once, on any number of nodes.
//
// ErrInvalid: want is malformed, key is no cephx key, or a private secret is to
// become readable. ErrExists: want's UUID has another usage name. ErrInUse:
// somebody else wrote to the secret meanwhile. After ErrOutcomeUnknown or a
// crash call Register again: it finishes what was begun.
//
// Similar To: virsh secret-define <file>; virsh secret-set-value <uuid>
func (s *Store) Register(ctx context.Context, want Secret, key Key, adopt ...string) (Result, error) {
	return change(ctx, s, "register", "secret "+want.Usage,
		func(ctx context.Context, conn *libvirt.Connect) (Result, error) {
			r := registration{conn: conn, want: want, adopt: adopt}
			return r.run(ctx, key)
		})
}

// Plan tells what Register would do, and changes nothing.
func (s *Store) Plan(ctx context.Context, want Secret, key Key, adopt ...string) (Result, error) {
	return look(ctx, s, "plan", "secret "+want.Usage,
		func(ctx context.Context, conn *libvirt.Connect) (Result, error) {
			r := registration{conn: conn, want: want, adopt: adopt, planOnly: true}
			return r.run(ctx, key)
		})
}

// registration is one Register under way.
type registration struct {
	conn     *libvirt.Connect
	want     Secret
	adopt    []string
	planOnly bool
	value    []byte // decoded key
}

func (r *registration) run(ctx context.Context, key Key) (Result, error) {
	if err := r.want.validate(); err != nil {
		return Result{}, err
	}
	text := key.Reveal()
	var err error
	r.value, err = decodeKey(text)
	wipe(text)
	if err != nil {
		return Result{}, err
	}
	defer wipe(r.value)

	native, err := r.existing()
	if err != nil {
		return Result{}, err
	}
	if native != nil {
		defer free(native)
		return r.reconcile(ctx, native)
	}
	return r.create(ctx)
}

// existing finds the secret to use, by usage name first: that is what libvirt
// allows once, and what other tools know it by.
func (r *registration) existing() (*libvirt.Secret, error) {
	for _, usage := range append([]string{r.want.Usage}, r.adopt...) {
		native, err := r.conn.LookupSecretByUsage(libvirt.SECRET_USAGE_TYPE_CEPH, usage)
		if err == nil || !isNoSecret(err) {
			return native, err
		}
	}
	return r.byUUID()
}

// byUUID finds out what is in the way when no secret has the usage names and yet
// the UUID is taken. A secret of the right usage that another process has made
// since it was looked for is not in the way: it is returned.
func (r *registration) byUUID() (*libvirt.Secret, error) {
	native, err := find(r.conn, r.want.UUID)
	if native == nil || err != nil {
		return nil, err
	}
	other, usageType, err := describe(native)
	if err == nil && usageType == usageCeph && other.Usage == r.want.Usage {
		return native, nil
	}
	free(native)
	if err != nil {
		return nil, err
	}
	if usageType != usageCeph {
		return nil, fault.Newf(ErrExists, "uuid %s belongs to a secret of usage type %q: choose another uuid", r.want.UUID, usageType)
	}
	return nil, fault.Newf(ErrExists, "uuid %s belongs to the secret with usage %q: adopt that usage, or choose another uuid",
		r.want.UUID, other.Usage)
}

func (r *registration) create(ctx context.Context) (Result, error) {
	if r.planOnly {
		return Result{Secret: r.want, Action: ActionCreated, Changed: true, Fingerprint: fingerprint(r.value)}, nil
	}
	native, err := r.define(ctx, r.want)
	if isKind(err, ErrExists) {
		// Somebody was faster, with this usage and another UUID: use theirs.
		theirs, lookErr := r.existing()
		if theirs == nil || lookErr != nil {
			return Result{}, err
		}
		defer free(theirs)
		return r.reconcile(ctx, theirs)
	}
	if err != nil {
		return Result{}, err
	}
	defer free(native)
	if err := r.setValue(ctx, native); err != nil {
		return Result{}, err
	}
	return r.readBack(native, Result{Secret: r.want, Action: ActionCreated, Changed: true})
}

// reconcile brings an existing secret to what is wanted of it: value first, so
// that it is compared before the secret becomes private.
func (r *registration) reconcile(ctx context.Context, native *libvirt.Secret) (Result, error) {
	have, _, err := describe(native)
	if err != nil {
		return Result{}, err
	}
	target, action, err := r.target(have)
	if err != nil {
		return Result{}, err
	}
	raw, state, err := readValue(native, have)
	if err != nil {
		return Result{}, err
	}
	sameValue := state == ValueKey && sameBytes(raw, r.value)
	wipe(raw)

	result := Result{Secret: target, Action: action, Changed: !sameValue || target != have}
	if action != ActionAdopted && result.Changed {
		result.Action = ActionUpdated
	}
	if r.planOnly || !result.Changed {
		result.Fingerprint = fingerprint(r.value)
		return result, nil
	}
	if !sameValue {
		if err := r.setValue(ctx, native); err != nil {
			return Result{}, err
		}
	}
	if target != have {
		redefined, err := r.define(ctx, target)
		if err != nil {
			return Result{}, err
		}
		free(redefined)
	}
	return r.readBack(native, result)
}

// target is what an existing secret is to become.
func (r *registration) target(have Secret) (Secret, Action, error) {
	if have.UUID != r.want.UUID || have.Usage != r.want.Usage {
		have.Private = have.Private || r.want.Private
		return have, ActionAdopted, nil
	}
	if have.Private && !r.want.Private {
		return Secret{}, "", fault.Newf(ErrInvalid, "secret %s is private and libvirt can't make it readable again: ask for a private one, or remove it first", have.UUID)
	}
	return r.want, ActionUnchanged, nil
}

func (r *registration) define(ctx context.Context, s Secret) (*libvirt.Secret, error) {
	doc, err := marshalXML(s)
	if err != nil {
		return nil, err
	}
	if ctx.Err() != nil {
		return nil, ended(ctx, ErrOutcomeUnknown)
	}
	return r.conn.SecretDefineXML(doc, 0)
}

func (r *registration) setValue(ctx context.Context, native *libvirt.Secret) error {
	if ctx.Err() != nil {
		return ended(ctx, ErrOutcomeUnknown)
	}
	return native.SetValue(r.value, 0)
}

// readBack holds libvirt to what it said it did.
func (r *registration) readBack(native *libvirt.Secret, result Result) (Result, error) {
	have, _, err := describe(native)
	if err != nil {
		return Result{}, err
	}
	raw, state, err := readValue(native, have)
	if err != nil {
		return Result{}, err
	}
	defer wipe(raw)
	if have != result.Secret || state != ValuePrivate && !sameBytes(raw, r.value) {
		return Result{}, fault.New(ErrInUse, "somebody else changed the secret meanwhile: run it again")
	}
	result.Fingerprint = fingerprint(r.value)
	return result, nil
}
