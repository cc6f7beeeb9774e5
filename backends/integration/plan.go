package integration

import (
	"context"
	"errors"
	"slices"

	"rbdctl/internal/fault"
	"rbdctl/internal/spec"
	"rbdctl/keyring"
	"rbdctl/pools"
)

// The kinds of failure that this package returns, besides those of the packages
// that it joins.
var (
	ErrInvalid = fault.ErrInvalid // the wish can't be fulfilled
	ErrInUse   = fault.ErrInUse   // the world changed between plan and application
)

// cluster is the connection that is lent: to the monitors, and to librbd for the
// one thing that they can't do.
type cluster interface {
	MonCommand(ctx context.Context, cmd []byte) ([]byte, error)
	InitPool(ctx context.Context, pool string) error
}

// Plan is what it takes to get from what is to what is wanted. It is data: making
// one changes nothing.
type Plan struct {
	FSID     string          `json:"fsid"`
	Items    []Item          `json:"items"`    // all, also those that stay as they are
	Refusals []Refusal       `json:"refusals"` // none: it can be performed
	Failures []Failure       `json:"failures"` // nodes of which nothing is known
	Warnings []pools.Warning `json:"warnings"`
	Replicas pools.Replicas  `json:"pg_replicas_per_osd"`

	wish     spec.Spec
	pools    pools.Plan
	desired  []keyring.Params
	entities keyring.Plan
	refused  []error
}

// NewPlan compares the wish with the cluster and the nodes. It changes nothing.
//
// What can't be done is in Refusals, and a node that doesn't answer in Failures:
// neither is an error of NewPlan, which returns one when it can't find out about
// the cluster, or when the wish itself is invalid.
func NewPlan(ctx context.Context, c cluster, wish spec.Spec) (Plan, error) {
	p := Plan{
		wish: wish, Items: []Item{}, Refusals: []Refusal{}, Failures: []Failure{}, Warnings: []pools.Warning{},
	}
	if err := p.planPools(ctx, c); err != nil {
		return Plan{}, err
	}
	if err := p.planEntities(ctx, c); err != nil {
		return Plan{}, err
	}
	if err := p.planSecrets(ctx); err != nil {
		return Plan{}, err
	}
	return p, nil
}

// Changed tells whether there is anything to do.
func (p Plan) Changed() bool {
	return slices.ContainsFunc(p.Items, func(i Item) bool { return i.Action != Keep })
}

// Moved is how many raw bytes the plan moves, about.
func (p Plan) Moved() uint64 {
	var sum uint64
	for _, i := range p.Items {
		sum += i.Moved
	}
	return sum
}

// Refused joins the reasons not to perform the plan, with their kinds; nil when
// there are none.
func (p Plan) Refused() error { return errors.Join(p.refused...) }

// Failed joins the failures of nodes, with their kinds; nil when there are none.
func (p Plan) Failed() error { return joined(p.Failures) }

func joined(failures []Failure) error {
	var errs []error
	for _, f := range failures {
		errs = append(errs, f.err)
	}
	return errors.Join(errs...)
}

// refuse notes a reason not to perform the plan.
func (p *Plan) refuse(err error, reasons ...Refusal) {
	p.refused = append(p.refused, err)
	p.Refusals = append(p.Refusals, reasons...)
}

// since tells what is otherwise in a plan for the same wish that was made later;
// "" when nothing is.
func (p Plan) since(later Plan) string {
	if p.FSID != later.FSID {
		return "the cluster, " + p.FSID + " and now " + later.FSID
	}
	for _, i := range p.Items {
		if !slices.ContainsFunc(later.Items, i.same) {
			return i.String()
		}
	}
	for _, i := range later.Items {
		if !slices.ContainsFunc(p.Items, i.same) {
			return i.String()
		}
	}
	if len(later.Refusals) > 0 {
		return later.Refusals[0].Text
	}
	return ""
}
