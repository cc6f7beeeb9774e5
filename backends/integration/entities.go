package integration

import (
	"context"

	"rbdctl/keyring"
)

// planEntities compares the entities. Pools that their caps name may be missing:
// they are made first.
func (p *Plan) planEntities(ctx context.Context, c cluster) error {
	var err error
	if p.desired, err = p.wish.Entities(); err != nil {
		return err
	}
	p.entities, err = keyring.Issue(ctx, c, p.desired, keyring.Options{DryRun: true, AllowMissing: true})
	if err != nil {
		return err
	}
	for _, change := range p.entities {
		p.Items = append(p.Items, entityItem(change))
	}
	return nil
}

func entityItem(c keyring.Change) Item {
	item := Item{Part: Entity, Name: c.Entity.String(), Want: c.After.String()}
	switch c.Action {
	case keyring.Create:
		item.Action, item.Adds = Create, grants(c.After)
	case keyring.Modify:
		item.Action = Change
		item.Adds, item.Drops = grants(c.After.Minus(c.Before)), grants(c.Before.Minus(c.After))
	case keyring.Keep:
		item.Action = Keep
	}
	return item
}

// grants is a line for each grant.
func grants(caps keyring.Caps) []string {
	var out []string
	for _, c := range caps {
		out = append(out, c.Daemon+" '"+c.Grant.String()+"'")
	}
	return out
}
