package integration

import (
	"context"
	"errors"
	"fmt"

	"rbdctl/internal/fault"
	"rbdctl/internal/spec"
	"rbdctl/keyring"
	"rbdctl/libvirtsecret"
	"rbdctl/pools"
)

// Result is what Apply did.
type Result struct {
	FSID     string          `json:"fsid"`
	Changed  bool            `json:"changed"` // something was written, or may have been
	Items    []Item          `json:"items"`   // as they are now
	Failures []Failure       `json:"failures"`
	Warnings []pools.Warning `json:"warnings"`
}

// Apply performs plan and nothing else: pools first, then entities, then secrets;
// each is read back and compared. It calls begin, if that is not nil, with every
// item that is about to change, from one goroutine.
//
// It plans again before it begins. ErrInUse: something is otherwise than when the
// plan was made, and nothing was changed. A plan with refusals is refused with
// their kinds. Other errors are those of the part that failed, and of nodes; what
// comes before that part is done. Plan and apply again to go on, also after a
// crash.
//
// Similar To: rbdctl pools init; rbdctl keyring issue; rbdctl secret register
func Apply(ctx context.Context, c cluster, plan Plan, begin func(Item)) (Result, error) {
	if err := plan.Refused(); err != nil {
		return Result{}, err
	}
	now, err := NewPlan(ctx, c, plan.wish)
	if err != nil {
		return Result{}, err
	}
	if what := plan.since(now); what != "" {
		return Result{}, fault.Newf(ErrInUse, "changed since the plan was made: %s: nothing was done, plan again", what)
	}
	a := application{c: c, plan: now, begin: begin}
	a.result = Result{FSID: now.FSID, Changed: now.Changed(), Items: now.Items, Failures: now.Failures, Warnings: now.Warnings}
	if err := a.pools(ctx); err != nil {
		return a.result, err
	}
	if err := a.entities(ctx); err != nil {
		return a.result, err
	}
	return a.result, a.secrets(ctx)
}

// application is one Apply under way.
type application struct {
	c      cluster
	plan   Plan
	begin  func(Item)
	result Result
}

// announce tells of the items of some parts that are about to change, and how
// many there are.
func (a *application) announce(parts ...Part) int {
	n := 0
	for _, i := range a.plan.Items {
		for _, part := range parts {
			if i.Part != part || i.Action == Keep {
				continue
			}
			n++
			if a.begin != nil {
				a.begin(i)
			}
		}
	}
	return n
}

func (a *application) pools(ctx context.Context) error {
	if a.announce(Cluster, Pool) == 0 {
		return nil
	}
	done, err := pools.Apply(ctx, a.c, a.c, a.plan.pools)
	if err == nil {
		a.result.Warnings = done.Warnings
	}
	return err
}

func (a *application) entities(ctx context.Context) error {
	if a.announce(Entity) == 0 {
		return nil
	}
	done, err := keyring.Issue(ctx, a.c, a.plan.desired, keyring.Options{})
	if err == nil {
		a.plan.entities = done // with the keys that are new
	}
	return err
}

func (a *application) secrets(ctx context.Context) error {
	a.announce(Secret) // private ones are written in any case
	wanted, err := a.plan.wantedSecrets(a.plan.entities)
	if err != nil {
		return err
	}
	var nodes []spec.Node
	for _, node := range a.plan.wish.Nodes {
		if !a.plan.failed(node) {
			nodes = append(nodes, node)
		}
	}
	done := eachNode(ctx, nodes, func(ctx context.Context, node spec.Node, store *libvirtsecret.Store) ([]Item, error) {
		return registerOn(ctx, node, store, wanted)
	})
	for i, node := range nodes {
		for _, item := range done[i].value {
			a.result.take(item)
		}
		if err := done[i].err; err != nil {
			a.result.Failures = append(a.result.Failures, Failure{Node: node.Name, Text: err.Error(), err: err})
		}
	}
	return joined(a.result.Failures)
}

// failed tells whether node did not answer when the plan was made.
func (p Plan) failed(node spec.Node) bool {
	for _, f := range p.Failures {
		if f.Node == node.Name {
			return true
		}
	}
	return false
}

// take puts item in the place of what was planned of it. Its action stays: that
// is what was done.
func (r *Result) take(item Item) {
	for i, planned := range r.Items {
		if planned.String() == item.String() {
			item.Action = planned.Action
			r.Items[i] = item
		}
	}
}

// registerOn goes on after an entity that fails, with the next.
func registerOn(ctx context.Context, node spec.Node, store *libvirtsecret.Store, wanted []wantedSecret) ([]Item, error) {
	var items []Item
	var errs []error
	for _, w := range wanted {
		if w.unborn {
			errs = append(errs, fmt.Errorf("secret of %s: there is no key of it", w.entity))
			continue
		}
		result, err := store.Register(ctx, w.secret, w.key, w.adopt...)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		items = append(items, secretItem(node, w, result))
	}
	return items, errors.Join(errs...)
}
