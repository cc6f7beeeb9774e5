package rbd

import (
	"fmt"
	"sync"

	"rbdctl/internal/fault"
)

// parentFacts are what a snapshot is, for all its life.
type parentFacts struct {
	poolID     uint64
	imageID    string
	snapID     uint64
	size       uint64 // bytes
	objectSize uint64 // bytes
	protected  bool   // when it was looked at
	head       []byte // the first headSize bytes, or all
}

// headSize is how much of an image's content a check may see: enough for the
// signatures of all disk formats that begin a file.
const headSize = 4096

// parents remembers the facts of snapshots that were cloned before: a golden
// image is cloned again and again. What is remembered is held against the clone
// that was made, so a snapshot that was made anew under an old name is noticed.
type parents struct {
	mu    sync.Mutex
	facts map[SnapSpec]parentFacts
}

// maxParents bounds the memory; past it, all is forgotten.
const maxParents = 256

func (p *parents) get(spec SnapSpec) (parentFacts, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f, ok := p.facts[spec]
	return f, ok
}

func (p *parents) put(spec SnapSpec, f parentFacts) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.facts == nil || len(p.facts) >= maxParents {
		p.facts = map[SnapSpec]parentFacts{}
	}
	p.facts[spec] = f
}

func (p *parents) forget(spec SnapSpec) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.facts, spec)
}

// parentFacts looks at a snapshot that is to be cloned.
func (s *scope) parentFacts(ioctx *ioContext, spec SnapSpec) (parentFacts, error) {
	var f parentFacts
	img, err := s.imageReadOnly(ioctx, spec.Image, spec.Snap)
	if err != nil {
		return f, fmt.Errorf("parent %s: %w", spec, err)
	}
	stat, err := native(s, "rbd_stat", img.Stat)
	if err != nil {
		return f, err
	}
	f.poolID = uint64(ioctx.GetPoolID())
	f.size, f.objectSize = stat.Size, stat.Obj_size
	if f.imageID, err = native(s, "rbd_get_id", img.GetId); err != nil {
		return f, err
	}
	if f.snapID, err = native(s, "rbd_snap_get_id", func() (uint64, error) { return img.GetSnapID(spec.Snap) }); err != nil {
		return f, err
	}
	if f.protected, err = img.protected(spec.Snap); err != nil {
		return f, err
	}
	f.head = make([]byte, min(headSize, f.size))
	if _, err := native(s, "rbd_read", func() (int, error) { return img.ReadAt(f.head, 0) }); err != nil {
		return f, err
	}
	return f, img.close()
}

// allow refuses what librbd would: it would open the parent to do so, and close it at
// once (see openImage.settle).
func (f parentFacts) allow(opts CloneOptions) error {
	if opts.Format == CloneV1 && !f.protected {
		return fault.New(ErrInvalid, "a clone of format 1 needs a protected snapshot: protect it first")
	}
	return nil
}

// is tells whether p, the parent that a clone has, is the snapshot of these
// facts: by its ids, which no rename changes.
func (f parentFacts) is(p *Parent) bool {
	return p != nil && p.PoolID == f.poolID && p.ImageID == f.imageID && p.SnapID == f.snapID
}
