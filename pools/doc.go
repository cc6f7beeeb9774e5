// Package pools plans, makes and removes the pools that OpenStack keeps its
// images, volumes, disks and backups in.
//
// The words: [Params] is one pool as it is wanted; a [Topology] is what the
// cluster has, read by [Read] or imagined by [Offline]; a [Plan] is the steps
// from the one to the other, for the whole set of pools at once; [Apply]
// performs a plan and reads everything back. A [Formula] turns a number of OSDs
// into a number of placement groups, and a [Policy] says who may change that
// number later, so that the autoscaler does not undo the plan.
//
//	top, err := pools.Read(ctx, cluster)
//	…
//	plan, err := pools.NewPlan(top, pools.Standard(), pools.Options{})
//	…
//	result, err := pools.Apply(ctx, cluster, cluster, plan)
//
// Calculating and planning are pure: same topology and params, same plan. Only
// Read, Apply and Remove talk, to the monitors, through one method.
//
// This package believes no exit status. Monitors answer "success" to the
// creation of a pool that exists with another pg_num, and to sizes that no
// cluster of that shape can hold; so every change is read back and compared.
//
// It opens no image and knows no librbd: what initialises a pool, and what looks
// into one before it is removed, is handed in.
package pools

import "rbdctl/internal/fault"

// The kinds of failure that this package returns; see package fault.
var (
	ErrInvalid     = fault.ErrInvalid     // the plan can't be: wrong input, or the monitors would refuse it
	ErrNotFound    = fault.ErrNotFound    // no such pool
	ErrInUse       = fault.ErrInUse       // the pool belongs to another application
	ErrUnavailable = fault.ErrUnavailable // the monitors don't answer, or the cluster is not as it was told to be
)
