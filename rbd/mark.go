package rbd

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"time"

	librbd "github.com/ceph/go-ceph/rbd"
)

// mark says that we moved an image to the trash, and may remove it. It is an entry
// of the pool's trash register, made before the image is moved: one whose image is
// not in the trash is stale.
type mark struct {
	ID        string    `json:"id"`
	Namespace string    `json:"namespace,omitempty"`
	Name      string    `json:"name"`
	Deleted   time.Time `json:"deleted"`
	Exact     bool      `json:"exact,omitempty"` // Deleted is the time that the entry of the trash has, to the second
	Until     time.Time `json:"until"`
	Parent    *lineage  `json:"parent,omitempty"`
	Begun     bool      `json:"begun,omitempty"` // its removal has begun: it is not whole any more
}

// lineage is the snapshot that an image was cloned from.
type lineage struct {
	PoolID    uint64 `json:"pool_id"`
	Pool      string `json:"pool"`
	Namespace string `json:"namespace,omitempty"`
	Image     string `json:"image"` // its name then
	ImageID   string `json:"image_id"`
	Snap      string `json:"snap"`
	SnapID    uint64 `json:"snap_id"`
}

func (p *Parent) lineage() *lineage {
	if p == nil {
		return nil
	}
	return &lineage{p.PoolID, p.Pool, p.Namespace, p.Image, p.ImageID, p.Snap, p.SnapID}
}

// key is the mark's in the register: the id, behind the namespace if there is one.
func (m mark) key() string { return inNamespace(m.Namespace, m.ID) }

func inNamespace(namespace, id string) string {
	if namespace == "" {
		return id
	}
	return namespace + "/" + id
}

// entry names the trash entry as the subject of an intent.
func (m mark) entry(pool string) ImageSpec {
	return ImageSpec{Pool: pool, Namespace: m.Namespace, Image: trashPrefix + m.ID}
}

// trashPrefix begins the name under which an entry of the trash has its intent.
const trashPrefix = "trash."

func trashID(entry ImageSpec) string { return strings.TrimPrefix(entry.Image, trashPrefix) }

// mark is what is noted of an image that is about to be deleted.
func (o *openImage) mark(spec ImageSpec, delay time.Duration) (mark, error) {
	now := time.Now().UTC().Truncate(time.Second)
	m := mark{Namespace: spec.Namespace, Name: spec.Image, Deleted: now, Until: now.Add(delay)}
	var err error
	if m.ID, err = native(o.s, "rbd_get_id", o.GetId); err != nil {
		return m, err
	}
	parent, err := o.parent()
	m.Parent = parent.lineage()
	return m, err
}

// putMark marks an image that moveUnopened is to move.
func (s *scope) putMark(img *openImage, spec ImageSpec, delay time.Duration) (register, mark, error) {
	m, err := img.mark(spec, delay)
	if err != nil {
		return register{}, m, err
	}
	marks, err := s.register(spec.Pool, trashRegister)
	if err != nil {
		return marks, m, err
	}
	m.Exact = true // moveUnopened gives the entry the mark's time
	return marks, m, marks.put(m.key(), m)
}

// sameMove tells whether an entry of the trash is the one that the mark was made for:
// somebody else may have restored the image, and moved it there again. Of one that
// librbd made for us, and that was not looked at since, the time is known roughly.
func (m mark) sameMove(entry librbd.TrashInfo) bool {
	const slack = 10 * time.Minute // a move that was cut short
	switch {
	case entry.Id != m.ID:
		return false
	case m.Exact:
		return entry.DeletionTime.Unix() == m.Deleted.Unix()
	}
	delay := entry.DefermentEndTime.Sub(entry.DeletionTime)
	return entry.DeletionTime.Sub(m.Deleted).Abs() < slack && (delay-m.Until.Sub(m.Deleted)).Abs() <= time.Second
}

// fit makes the mark tell the entry that the trash has of its image, if it has one.
func (s *scope) fit(ioctx *ioContext, marks register, m *mark) error {
	if err := s.fitted(ioctx, m); err != nil {
		return err
	}
	return marks.put(m.key(), *m)
}

// refit is fit for a mark that is put in already, and whose image is in the trash: a purge
// may have begun with it, and say so in the mark, or have ended.
func (s *scope) refit(ioctx *ioContext, marks register, before mark) error {
	now := before
	if err := s.fitted(ioctx, &now); err != nil {
		return err
	}
	return marks.replace(now.key(), before, now)
}

func (s *scope) fitted(ioctx *ioContext, m *mark) error {
	entry, there, err := s.trashEntry(ioctx, m.ID)
	if m.Exact = there; there {
		m.Deleted = entry.DeletionTime.UTC().Truncate(time.Second)
	}
	return err
}

// marks reads the trash register of a pool, oldest first.
func (s *scope) marks(pool string) ([]mark, error) {
	r, err := s.register(pool, trashRegister)
	if err != nil {
		return nil, err
	}
	values, err := r.entries()
	if err != nil {
		return nil, err
	}
	var marks []mark
	for key, text := range values {
		var m mark
		if err := r.decode(key, text, &m); err != nil {
			return nil, err
		}
		marks = append(marks, m)
	}
	slices.SortFunc(marks, func(a, b mark) int {
		if c := a.Deleted.Compare(b.Deleted); c != 0 {
			return c
		}
		return strings.Compare(a.key(), b.key())
	})
	return marks, nil
}

// trash lists the trash of one namespace by id.
func (s *scope) trash(pool, namespace string) (*ioContext, map[string]librbd.TrashInfo, error) {
	ioctx, err := s.pool(pool, namespace)
	if err != nil {
		return nil, nil, err
	}
	list, err := native(s, "rbd_trash_list", func() ([]librbd.TrashInfo, error) { return librbd.GetTrashList(ioctx) })
	entries := map[string]librbd.TrashInfo{}
	for _, e := range list {
		entries[e.Id] = e
	}
	return ioctx, entries, err
}

// Deleted is an image that Delete took away, and that Purge has not yet removed.
type Deleted struct {
	ID        string
	Name      string // that it had
	Pool      string
	Namespace string
	Deleted   time.Time
	Until     time.Time // not removed before
	Parent    *Parent   // nil: not a clone
	Children  int       // clones that need it; -1 when they may not be listed
}

// Deleted lists what Delete took away in a pool, in all its namespaces, oldest
// first. What somebody else moved to the trash is not among it.
//
// Similar To: rbd trash ls <pool>
func (m *Images) Deleted(ctx context.Context, pool string) ([]Deleted, error) {
	return callRead(ctx, m.cluster, "trash ls", pool, func(s *scope) ([]Deleted, error) {
		marks, err := s.marks(pool)
		if err != nil {
			return nil, err
		}
		type place struct {
			ioctx *ioContext
			trash map[string]librbd.TrashInfo
		}
		places := map[string]place{} // by namespace
		var deleted []Deleted
		for _, m := range marks {
			at, known := places[m.Namespace]
			if !known {
				if at.ioctx, at.trash, err = s.trash(pool, m.Namespace); err != nil {
					return nil, err
				}
				places[m.Namespace] = at
			}
			if !m.sameMove(at.trash[m.ID]) {
				continue
			}
			d, err := s.describe(at.ioctx, pool, m)
			if isErrno(err, syscall.ENOENT) {
				continue // purged meanwhile
			}
			if err != nil {
				return nil, err
			}
			deleted = append(deleted, d)
		}
		return deleted, nil
	})
}

// describe looks at a marked image in the trash.
func (s *scope) describe(ioctx *ioContext, pool string, m mark) (Deleted, error) {
	d := Deleted{ID: m.ID, Name: m.Name, Pool: pool, Namespace: m.Namespace, Deleted: m.Deleted, Until: m.Until}
	img, err := s.imageByIDReadOnly(ioctx, m.ID, librbd.NoSnapshot)
	if err != nil {
		return d, err
	}
	if d.Parent, err = img.parent(); err != nil {
		return d, err
	}
	list, err := img.children()
	d.Children = len(list)
	if isErrno(err, syscall.EPERM, syscall.EACCES) {
		d.Children, err = -1, nil
	}
	return d, errors.Join(err, img.close())
}
