// Package integration joins a Ceph cluster to OpenStack as a whole: it compares
// what package spec says is wanted with what is there, and makes it so.
//
// The words: a part is a sort of thing (the cluster itself, a pool, an entity, a
// secret); an item is one of them and what becomes of it; a [Plan] is all items in
// the order in which they are dealt with, pools, then entities, then secrets,
// because caps name pools and secrets hold the keys of entities.
//
//	plan, err := integration.NewPlan(ctx, cluster, wish)
//	…
//	result, err := integration.Apply(ctx, cluster, plan, nil)
//
// Nothing is remembered between runs: a plan is made from what the monitors and
// the libvirts say at that moment. So a run that was killed is finished by the
// next, and a second run changes nothing. What nobody wished for is left alone.
//
// A plan that is refused in one point is not performed in any. A node that can't
// be reached stops no other, and neither pools nor entities: it is a failure, to be
// reported when the rest is done.
//
// The three packages that do the work don't know each other. This one adds the
// order, the comparison and the report, and no rule of its own about Ceph.
package integration
