package integration

import (
	"reflect"

	"rbdctl/pools"
)

// Part is a sort of thing that an integration consists of.
type Part string

// The parts, in the order in which they are dealt with.
const (
	Cluster Part = "cluster" // what concerns all pools
	Pool    Part = "pool"
	Entity  Part = "entity"
	Secret  Part = "secret"
)

// Action is what a plan does with an item.
type Action string

// The actions.
const (
	Create Action = "create"
	Change Action = "change" // it is there, and unfinished or otherwise than wanted
	Keep   Action = "keep"   // it is as wanted, or stays as it is
)

// Item is one thing of the integration and what becomes of it. It holds no key.
type Item struct {
	Part   Part     `json:"part"`
	Name   string   `json:"name"`           // of the pool or entity; fsid of the cluster
	Node   string   `json:"node,omitempty"` // where a secret is
	Action Action   `json:"action"`
	Want   string   `json:"want"`                  // what it will be, in words
	Steps  []string `json:"steps,omitempty"`       // as commands of Ceph's tools
	Adds   []string `json:"adds,omitempty"`        // grants that an entity gets
	Drops  []string `json:"drops,omitempty"`       // grants that it loses
	UUID   string   `json:"uuid,omitempty"`        // of a secret
	Key    string   `json:"fingerprint,omitempty"` // of the key that a secret gets, once there is one
	Moved  uint64   `json:"moved_bytes"`           // raw bytes that this moves, about

	// Kept is what of a pool is not as wanted and stays so, because changing it
	// would move data.
	Kept []pools.Difference `json:"kept,omitempty"`
}

// String names the item.
func (i Item) String() string {
	text := string(i.Part) + " " + i.Name
	if i.Node != "" {
		text += " on " + i.Node
	}
	return text
}

// same tells whether two items come to the same. What data would move grows by
// the second on a cluster at work, and counts for nothing.
func (i Item) same(other Item) bool {
	i.Moved, other.Moved = 0, 0
	i.Kept, other.Kept = nil, nil
	return reflect.DeepEqual(i, other)
}

// Refusal is a reason not to perform a plan. Its text names a way out.
type Refusal struct {
	Part Part   `json:"part"`
	Name string `json:"name,omitempty"` // empty: the part as a whole
	Node string `json:"node,omitempty"`
	Code string `json:"code"` // stable
	Text string `json:"text"`
}

// Failure is a node that can't be asked or told.
type Failure struct {
	Node string `json:"node"`
	Text string `json:"text"`

	err error
}
