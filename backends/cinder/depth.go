package cinder

import (
	"cmp"

	"rbdctl/internal/fault"
)

// Depth limits chains of clones. All parents count, whatever they are: Glance
// images, snapshots, other volumes. (The upstream driver counts clones of
// volumes only, so its chains through snapshots have no end.)
type Depth struct {
	Soft int // a volume with more parents is flattened in the background; 0: SoftDepth
	Hard int // a volume with more parents is refused; 0: HardDepth
}

// The usual limits. A read of what no clone wrote goes down the whole chain, so
// the soft one is that of the upstream driver (rbd_max_clone_depth), and leaves
// the background time to flatten before anybody is refused. The hard one is the
// kernel's: its RBD client maps no image with a longer chain.
// See: linux drivers/block/rbd.c, RBD_MAX_PARENT_CHAIN_LEN.
const (
	SoftDepth = 5
	HardDepth = 16
)

func (d Depth) soft() int { return cmp.Or(d.Soft, SoftDepth) }
func (d Depth) hard() int { return cmp.Or(d.Hard, HardDepth) }

// allows refuses a clone that would have depth parents.
func (d Depth) allows(depth int, source string) error {
	if depth <= d.hard() {
		return nil
	}
	return fault.Newf(ErrUnsupported, "a clone of %s would have %d parents one below the other, and %d is the limit: flatten %s first (`rbd flatten` or the sidecar's flatten), or wait for the flattening that is under way (`rbdctl jobs ls`)",
		source, depth, d.hard(), source)
}
