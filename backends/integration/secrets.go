package integration

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"rbdctl/internal/fault"
	"rbdctl/internal/spec"
	"rbdctl/keyring"
	"rbdctl/libvirtsecret"
)

// wantedSecret is a secret with the key that it is to hold.
type wantedSecret struct {
	entity keyring.Entity
	secret libvirtsecret.Secret
	adopt  []string
	key    libvirtsecret.Key
	unborn bool // there is no key yet
}

// planSecrets compares the secrets of every node.
func (p *Plan) planSecrets(ctx context.Context) error {
	wanted, err := p.wantedSecrets(p.entities)
	if err != nil {
		return err
	}
	found := eachNode(ctx, p.wish.Nodes, func(ctx context.Context, node spec.Node, store *libvirtsecret.Store) (planned, error) {
		return planNode(ctx, node, store, wanted)
	})
	for i, node := range p.wish.Nodes {
		p.Items = append(p.Items, found[i].value.items...)
		for _, r := range found[i].value.refused {
			p.refuse(r.err, r.Refusal)
		}
		if err := found[i].err; refusing(err) { // a URI that is none, or not encrypted
			p.refuse(err, Refusal{Part: Secret, Node: node.Name, Code: "uri", Text: err.Error()})
		} else if err != nil {
			p.Failures = append(p.Failures, Failure{Node: node.Name, Text: err.Error(), err: err})
		}
	}
	return nil
}

// wantedSecrets are those of one node; every node gets the same.
func (p *Plan) wantedSecrets(entities keyring.Plan) ([]wantedSecret, error) {
	var out []wantedSecret
	for _, s := range p.wish.Secrets {
		secret, err := libvirtsecret.For(p.FSID, s.Entity.String())
		if err != nil {
			return nil, err
		}
		if s.UUID != "" {
			secret.UUID = s.UUID
		}
		secret.Private = s.Private
		w := wantedSecret{entity: s.Entity, secret: secret, adopt: s.Adopt, unborn: true}
		i := slices.IndexFunc(entities, func(c keyring.Change) bool { return c.Entity == s.Entity })
		if i >= 0 && !entities[i].Key.IsZero() {
			w.key, w.unborn = entities[i].Key, false
		} else if w.key, err = newStandIn(); err != nil {
			return nil, err
		}
		out = append(out, w)
	}
	return out, nil
}

// planned is what is to be done on one node.
type planned struct {
	items   []Item
	refused []refusedSecret
}

type refusedSecret struct {
	Refusal
	err error
}

func planNode(ctx context.Context, node spec.Node, store *libvirtsecret.Store, wanted []wantedSecret) (planned, error) {
	var out planned
	for _, w := range wanted {
		result, err := store.Plan(ctx, w.secret, w.key, w.adopt...)
		if refusing(err) {
			out.refused = append(out.refused, refusedSecret{
				Refusal{Part: Secret, Name: w.entity.String(), Node: node.Name, Code: "secret", Text: err.Error()}, err,
			})
			continue
		}
		if err != nil {
			return out, err
		}
		item := secretItem(node, w, result)
		if item.Action == Change && !w.unborn {
			if item.Action, err = unlessRewritten(ctx, store, result); err != nil {
				return out, err
			}
		}
		out.items = append(out.items, item)
	}
	return out, nil
}

// refusing tells whether trying again would fail again, until somebody decides.
func refusing(err error) bool {
	return errors.Is(err, fault.ErrInvalid) || errors.Is(err, fault.ErrExists)
}

func secretItem(node spec.Node, w wantedSecret, result libvirtsecret.Result) Item {
	item := Item{Part: Secret, Name: w.entity.String(), Node: node.Name, Action: Keep, UUID: result.UUID, Want: "uuid " + result.UUID}
	switch {
	case result.Action == libvirtsecret.ActionCreated:
		item.Action = Create
	case result.Changed:
		item.Action = Change
	}
	if result.Action == libvirtsecret.ActionAdopted {
		item.Want += ", adopted"
	}
	if result.Private {
		item.Want += ", private"
	}
	if !w.unborn {
		item.Key = result.Fingerprint
	}
	return item
}

// unlessRewritten tells a private secret whose value alone can't be compared, and
// which is therefore written again whenever a plan is performed, from one that
// really changes.
func unlessRewritten(ctx context.Context, store *libvirtsecret.Store, result libvirtsecret.Result) (Action, error) {
	if !result.Private {
		return Change, nil
	}
	infos, err := store.List(ctx)
	if err != nil {
		return Change, err
	}
	for _, info := range infos {
		if info.Secret == result.Secret {
			return Keep, nil
		}
	}
	return Change, nil
}

// standIn is a key of nobody, for asking what would become of a secret while its
// own key is not made yet.
type standIn []byte

// Reveal gives it out: there is no secret in it.
func (s standIn) Reveal() []byte { return slices.Clone(s) }

// newStandIn makes one that is like no other, so that it differs from any value.
func newStandIn() (standIn, error) {
	raw := make([]byte, 28) // type, time, length, 16 random bytes
	if _, err := rand.Read(raw[12:]); err != nil {
		return nil, err
	}
	binary.LittleEndian.PutUint16(raw, 1)
	binary.LittleEndian.PutUint16(raw[10:], 16)
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// maxNodes bounds the libvirts that are talked to at a time.
const maxNodes = 16

// outcome is what became of one node.
type outcome[T any] struct {
	value T
	err   error
}

// eachNode runs fn on every node, several at a time, and returns the outcomes in
// the order of the nodes.
func eachNode[T any](ctx context.Context, nodes []spec.Node, fn func(context.Context, spec.Node, *libvirtsecret.Store) (T, error)) []outcome[T] {
	out := make([]outcome[T], len(nodes))
	slots := make(chan struct{}, maxNodes)
	var wg sync.WaitGroup
	for i, node := range nodes {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			out[i].value, out[i].err = onNode(ctx, node, fn)
		})
	}
	wg.Wait()
	return out
}

func onNode[T any](ctx context.Context, node spec.Node, fn func(context.Context, spec.Node, *libvirtsecret.Store) (T, error)) (value T, err error) {
	store, err := libvirtsecret.Dial(ctx, node.URI)
	if err != nil {
		return value, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return fn(ctx, node, store)
}
