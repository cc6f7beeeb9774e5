package rbd

import (
	"errors"
	"fmt"
	"maps"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// plan is what a copy is made of: first what was at each snapshot, oldest first, each
// followed by the snapshot; then the image; then all of them are compared.
type plan struct {
	states []Snapshot // the last is the image itself, and has no name
}

func newPlan(info Info) plan {
	var p plan
	for _, snap := range info.Snapshots {
		if !passing(snap.Name) { // it is there for clones, which keep it where it is
			p.states = append(p.states, snap)
		}
	}
	p.states = append(p.states, Snapshot{Size: info.Size})
	return p
}

// steps is how many steps there are: one for each state to be copied, and one to be
// compared.
func (p plan) steps() int { return 2 * len(p.states) }

// step is what is to be done n-th.
func (p plan) step(n int) (state Snapshot, compare bool) {
	return p.states[n%len(p.states)], n >= len(p.states)
}

// before is how many bytes are behind when step n begins.
func (p plan) before(n int) uint64 {
	var sum uint64
	for i := range n {
		state, _ := p.step(i)
		sum += state.Size
	}
	return sum
}

// openCopy finds the copy that an earlier attempt has made, or makes one, empty.
func (g *migrating) openCopy(p plan) error {
	if there, err := g.findCopy(); err != nil || there {
		return err
	}
	if err := g.discard(); err != nil {
		return err
	}
	return g.makeCopy(p)
}

// makeCopy makes an image like the one that is copied, with nothing in it.
func (g *migrating) makeCopy(p plan) error {
	from, err := g.imageReadOnly(g.source, g.spec.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	opts, err := from.likeness()
	if err != nil {
		return err
	}
	defer opts.Destroy()
	if err := run(g.scope, "rbd_create4", func() error {
		return librbd.CreateImage(g.target, g.copy.Image, max(1, p.states[0].Size), opts)
	}); err != nil {
		return err
	}
	return errors.Join(g.noteCopy(), from.close())
}

// likeness is what an image keeps for life, as librbd takes it; the caller destroys
// it.
func (o *openImage) likeness() (*librbd.ImageOptions, error) {
	stat, err := native(o.s, "rbd_stat", o.Stat)
	if err != nil {
		return nil, err
	}
	features, err := native(o.s, "rbd_get_features", o.GetFeatures)
	if err != nil {
		return nil, err
	}
	opts, err := o.s.imageOptions(CreateOptions{ObjectSize: stat.Obj_size})
	if err != nil {
		return nil, err
	}
	set := map[librbd.ImageOption]uint64{
		librbd.ImageOptionFeatures: features &^ (librbd.FeatureDataPool | librbd.FeatureOperations),
	}
	if features&featureStriping != 0 {
		if set[librbd.ImageOptionStripeUnit], err = native(o.s, "rbd_get_stripe_unit", o.GetStripeUnit); err != nil {
			opts.Destroy()
			return nil, err
		}
		if set[librbd.ImageOptionStripeCount], err = native(o.s, "rbd_get_stripe_count", o.GetStripeCount); err != nil {
			opts.Destroy()
			return nil, err
		}
	}
	for option, value := range set {
		if err := opts.SetUint64(option, value); err != nil {
			opts.Destroy()
			return nil, fmt.Errorf("option %d of the copy: %w", option, err)
		}
	}
	return opts, nil
}

// follow takes the steps that are still to be taken.
func (g *migrating) follow(p plan) error {
	for n := g.at.now().Course.Step; n < p.steps(); n++ {
		if err := g.step(p, n); err != nil {
			return err
		}
		if err := g.at.store(func(j *Job) { j.Course.Step, j.Course.Offset = n+1, 0 }); err != nil {
			return err
		}
	}
	return nil
}

// finishCopy gives the copy the metadata, which may hold limits that would have slowed
// it down, and looks at it as a whole.
func (g *migrating) finishCopy() error {
	img, err := g.imageReadOnly(g.source, g.spec.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	want, err := native(g.scope, "rbd_metadata_list", img.ListMetadata)
	if err != nil {
		return err
	}
	to, err := g.image(g.target, g.copy.Image)
	if err != nil {
		return err
	}
	if err := to.setMetadata(want, nil); err != nil {
		return err
	}
	if err := to.close(); err != nil {
		return err
	}
	now, err := g.imageReadOnly(g.target, g.copy.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	have, err := native(g.scope, "rbd_metadata_list", now.ListMetadata)
	if err != nil {
		return err
	}
	if !maps.Equal(have, want) {
		return fault.Newf(nil, "the copy has the metadata %v, and the image %v", have, want)
	}
	return errors.Join(g.alike(img, now), now.close(), img.close())
}

// alike compares what two images are, but for what they hold.
func (g *migrating) alike(img, now *openImage) error {
	want, err := img.info()
	if err != nil {
		return err
	}
	have, err := now.info()
	if err != nil {
		return err
	}
	switch {
	case have.ID != g.at.now().Course.Made:
		return fault.Newf(ErrUnavailable, "the copy is another image than the one that was made")
	case have.Size != want.Size || have.ObjectSize != want.ObjectSize || have.Parent != nil:
		return fault.Newf(nil, "the copy has %d bytes in objects of %d, and the image %d in %d", have.Size, have.ObjectSize, want.Size, want.ObjectSize)
	}
	for i, state := range newPlan(want).states[:len(newPlan(want).states)-1] {
		if i >= len(have.Snapshots) || have.Snapshots[i].Name != state.Name || have.Snapshots[i].Size != state.Size || have.Snapshots[i].Protected != state.Protected {
			return fault.Newf(nil, "the copy lacks the snapshot %s, or has it otherwise", state.Name)
		}
	}
	return nil
}
