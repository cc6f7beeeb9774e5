package pools

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"rbdctl/internal/fault"
)

// A Policy says who decides a pool's pg_num after it was made.
type Policy string

const (
	// Pinned keeps the planned pg_num: the autoscaler is off for the pool.
	Pinned Policy = "pinned"
	// Floor lets the autoscaler raise pg_num above the plan, never below it.
	Floor Policy = "floor"
	// Managed leaves pg_num to the autoscaler; the pools that hold the bulk of
	// the data start with their full complement.
	Managed Policy = "managed"
)

// ParsePolicy accepts pinned, floor and managed; the empty text means pinned.
func ParsePolicy(text string) (Policy, error) {
	switch p := Policy(text); p {
	case "":
		return Pinned, nil
	case Pinned, Floor, Managed:
		return p, nil
	}
	return "", fault.New(ErrInvalid, "PG policy "+quote(text)+": want pinned, floor or managed")
}

// Params is one pool as it is wanted. Zero values mean defaults.
type Params struct {
	Name    string
	Rule    string  // CRUSH rule; empty: the pool's own, or the cluster's default
	Class   string  // device class; empty: any. It picks, or makes, a rule of that class
	Size    int     // replicas; 0: the pool's own, or osd_pool_default_size
	MinSize int     // replicas needed for I/O; 0: as the cluster sets it
	Weight  float64 // percent of the data expected; 0: by name, else an average part
	Bulk    bool    // holds the bulk of the data; counts under Managed only
	PGNum   int     // placement groups; 0: by formula
	Policy  Policy  // empty: Pinned
	Quota   uint64  // bytes before replication; 0: as it is. Clients block at it
}

// presets are the weights that Ceph's calculator gives OpenStack's pools.
func preset(name string) (weight float64, bulk, known bool) {
	switch name {
	case "volumes":
		return 53, true, true
	case "backups":
		return 25, false, true
	case "vms":
		return 15, true, true
	case "images":
		return 7, false, true
	}
	return 0, false, false
}

// Standard is the set of pools that OpenStack's three services expect.
func Standard() []Params { return Named("volumes", "vms", "images", "backups") }

// Named is pools of these names with the weights that Ceph's calculator gives
// pools of OpenStack, where it knows the name.
func Named(names ...string) []Params {
	out := make([]Params, 0, len(names))
	for _, name := range names {
		weight, bulk, _ := preset(name)
		out = append(out, Params{Name: name, Weight: weight, Bulk: bulk})
	}
	return out
}

// Most replicas that a pool may be asked for, as the monitors see it.
const maxSize = 10

// validate joins all complaints about a set of pools.
func validate(set []Params) error {
	if len(set) == 0 {
		return fault.New(ErrInvalid, "no pools: name at least one")
	}
	var errs []error
	seen := map[string]bool{}
	for _, p := range set {
		if err := checkName(p.Name); err != nil {
			errs = append(errs, err)
			continue
		}
		if seen[p.Name] {
			errs = append(errs, refuse("pool %s: named twice", p.Name))
		}
		seen[p.Name] = true
		errs = append(errs, p.validate())
	}
	return oneLine(errs...)
}

func (p Params) validate() error {
	var errs []error
	complain := func(bad bool, text string, args ...any) {
		if bad {
			errs = append(errs, refuse("pool "+p.Name+": "+text, args...))
		}
	}
	complain(p.Size < 0 || p.Size > maxSize, "size %d: want 1 to %d replicas", p.Size, maxSize)
	complain(p.MinSize < 0 || p.Size > 0 && p.MinSize > p.Size, "min_size %d: want 1 to size", p.MinSize)
	complain(!(p.Weight >= 0 && p.Weight <= 100), "weight %v: want a percentage", p.Weight)
	complain(p.PGNum < 0, "pg_num %d: want at least 1", p.PGNum)
	_, err := ParsePolicy(string(p.Policy))
	complain(err != nil, "PG policy %q: want pinned, floor or managed", p.Policy)
	return oneLine(errs...)
}

// checkName refuses names that Ceph's tools or image specs can't carry.
func checkName(name string) error {
	switch {
	case name == "":
		return refuse("a pool without a name")
	case len(name) > 128:
		return refuse("pool name %s…: longer than 128 bytes", quote(name[:20]))
	case strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-"):
		return refuse("pool name %s: must not begin with %q", quote(name), name[0])
	case strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`/@,'"\`, r) }):
		return refuse("pool name %s: letters, digits, dots, dashes and underscores only", quote(name))
	}
	return nil
}

func quote(s string) string { return strconv.Quote(s) }

// refuse is an error of kind ErrInvalid.
func refuse(format string, args ...any) error {
	return fault.New(ErrInvalid, fmt.Sprintf(format, args...))
}

// oneLine joins errors as errors.Join does, but into one line.
func oneLine(errs ...error) error {
	joined := errors.Join(errs...)
	if joined == nil {
		return nil
	}
	return lined{joined}
}

type lined struct{ err error }

func (l lined) Error() string { return strings.ReplaceAll(l.err.Error(), "\n", "; ") }
func (l lined) Unwrap() error { return l.err }
