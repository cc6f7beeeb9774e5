package rbd

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"
)

// judging makes findings of a survey.
type judging struct {
	s     *scope
	v     *survey
	busy  map[string]bool // keys of images that a living operation is at
	dead  map[string]bool // keys of images whose operation nobody carries on
	notes map[string]note // by key
	found []Finding

	images []listed // that are whole by their names
}

// listed is an image, and its id.
type listed struct {
	ImageSpec
	id string
}

func ignoreMissing(err error) error { return ignore(err, syscall.ENOENT) }

// judge goes from the journal, which says what to leave alone, to the rest.
func (j *judging) judge() error {
	j.busy, j.dead = map[string]bool{}, map[string]bool{}
	for _, step := range []func() error{j.judgeIntents, j.judgeMarks, j.judgeNotes} {
		if err := step(); err != nil {
			return err
		}
	}
	for _, o := range j.v.unknown {
		j.report(Finding{Object: inNamespace(o.namespace, o.name), Class: ClassUnknown, Detail: "neither RBD nor we name an object so"})
	}
	for namespace, c := range j.v.corners {
		if err := j.judgeCorner(namespace, c); err != nil {
			return err
		}
	}
	return nil
}

func (j *judging) report(f Finding) {
	f.Pool = j.v.pool
	j.found = append(j.found, f)
}

// judgeIntents tells operations that are under way from those whose owner is gone.
func (j *judging) judgeIntents() error {
	ioctx, err := j.s.pool(j.v.pool, intentNamespace)
	if err != nil {
		return err
	}
	for _, oid := range j.v.intents {
		i := intent{s: j.s, ioctx: ioctx, oid: oid}
		r, carried, err := i.carried()
		if isErrno(err, syscall.ENOENT) {
			continue // finished meanwhile
		}
		spec, ok := intentSubject(j.v.pool, oid)
		if err != nil && errno(err) != 0 {
			return err
		}
		if err != nil || !ok {
			j.report(Finding{Object: oid, Class: ClassUnknown, Detail: "it is named as an intent, and is none"})
			continue
		}
		key := inNamespace(spec.Namespace, spec.Image)
		if carried {
			j.busy[key], j.busy[inNamespace(spec.Namespace, r.Made)] = true, true
			continue
		}
		if r.Op == opMoveTo || r.Op == opImportTo {
			if wanted, err := j.s.copyWanted(spec, r.Other); err != nil {
				return err
			} else if wanted { // a job goes on with it
				j.busy[key], j.busy[inNamespace(spec.Namespace, r.Made)] = true, true
				continue
			}
		}
		j.dead[key] = true
		j.report(Finding{
			Object: oid, Class: ClassOrphanIntent, Image: spec.String(), Repairable: true,
			Detail: fmt.Sprintf("%s by %s, since %s, was not finished", r.Op, r.Owner, r.Since.Format("2006-01-02T15:04:05Z07:00")),
		})
	}
	return nil
}

// judgeMarks finds notes of deleted images that are not in the trash.
func (j *judging) judgeMarks() error {
	marks, err := j.s.marks(j.v.pool)
	if err != nil {
		return err
	}
	for _, m := range marks {
		c := j.v.corners[m.Namespace]
		if c == nil || j.busy[m.key()] || j.busy[inNamespace(m.Namespace, m.Name)] || j.busy[inNamespace(m.Namespace, trashPrefix+m.ID)] {
			continue
		}
		f := Finding{Object: m.entry(j.v.pool).String(), Image: m.Name, Repairable: true}
		switch {
		case !c.trash[m.ID]:
			f.Class, f.Detail = ClassStaleMark, "we note it as deleted, and it is not in the trash"
		case !c.headers[m.ID]:
			f.Class, f.Detail = ClassHalfRemoved, "it is in the trash, and has no header"
		default:
			continue
		}
		j.report(f)
	}
	return nil
}

// judgeNotes finds notes of snapshots of images that are not there.
func (j *judging) judgeNotes() error {
	notes, err := j.s.notes(j.v.pool)
	if err != nil {
		return err
	}
	j.notes = map[string]note{}
	for _, n := range notes {
		j.notes[n.key()] = n
		if c := j.v.corners[n.Namespace]; c == nil || !c.has(n.ImageID) {
			j.report(Finding{Object: n.key(), Class: ClassStaleNote, Detail: "we note this snapshot, and its image is not there", Repairable: true})
		}
	}
	return nil
}

// judgeCorner attributes the objects of one namespace.
func (j *judging) judgeCorner(namespace string, c *corner) error {
	for id := range c.headers {
		if !c.has(id) && !j.busy[inNamespace(namespace, id)] {
			j.report(Finding{Object: inNamespace(namespace, "rbd_header."+id), Class: ClassOrphanHeader, Detail: "no image has this id, nor has the trash"})
		}
	}
	for id := range c.maps {
		if !c.has(id) && !c.headers[id] && !j.busy[inNamespace(namespace, id)] {
			j.report(Finding{Object: inNamespace(namespace, "rbd_object_map."+id), Class: ClassOrphanMap, Detail: "no image has this id, nor has the trash"})
		}
	}
	for id, objects := range c.data {
		orphan, err := j.orphanData(namespace, c, id)
		if err != nil {
			return err
		}
		if orphan {
			j.report(Finding{
				Object: inNamespace(namespace, "rbd_data."+id), Class: ClassOrphanData,
				Detail: fmt.Sprintf("%d objects of an image that is not there", objects),
			})
		}
	}
	if err := j.judgeNames(namespace, c); err != nil {
		return err
	}
	for id, name := range c.listed {
		if OfJob(name) && !j.busy[inNamespace(namespace, name)] && !j.dead[inNamespace(namespace, name)] {
			j.report(Finding{
				Object: inNamespace(namespace, name), Class: ClassHalfMade, Image: name,
				Detail: "it is called as one that a job makes, and none is at it",
			})
		}
		if c.headers[id] && !j.busy[inNamespace(namespace, name)] {
			j.images = append(j.images, listed{ImageSpec{Pool: j.v.pool, Namespace: namespace, Image: name}, id})
		}
	}
	return nil
}

// orphanData tells whether data belongs to no image, of this pool or another.
func (j *judging) orphanData(namespace string, c *corner, key string) (bool, error) {
	pool, id, other := otherPool(key)
	if !other {
		return !c.has(key) && !c.headers[key] && !j.busy[inNamespace(namespace, key)], nil
	}
	name, err := native(j.s, "rados_pool_reverse_lookup", func() (string, error) { return j.s.conn().GetPoolByID(pool) })
	if isErrno(err, syscall.ENOENT) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	ioctx, err := j.s.pool(name, namespace)
	if err != nil {
		return false, err
	}
	_, err = native(j.s, "rados_stat", func() (rados.ObjectStat, error) { return ioctx.Stat("rbd_header." + id) })
	if isErrno(err, syscall.EPERM, syscall.EACCES) {
		return false, nil // we can't know
	}
	return isErrno(err, syscall.ENOENT), ignoreMissing(err)
}

// judgeNames finds names without an image, images without their parts, and images
// with two names.
func (j *judging) judgeNames(namespace string, c *corner) error {
	half := func(name, detail string) {
		key := inNamespace(namespace, name)
		if !j.busy[key] {
			spec := ImageSpec{Pool: j.v.pool, Namespace: namespace, Image: name}
			j.report(Finding{Object: spec.String(), Class: ClassHalfMade, Image: name, Detail: detail, Repairable: j.dead[key]})
		}
	}
	for name, id := range c.names {
		switch {
		case !c.ids[name]:
			half(name, "it is listed, and has no id")
		case !c.headers[id]:
			half(name, "it is listed, and has no header")
		}
	}
	ioctx, err := j.s.pool(j.v.pool, namespace)
	if err != nil {
		return err
	}
	for name := range c.ids {
		if _, listed := c.names[name]; listed || j.busy[inNamespace(namespace, name)] {
			continue
		}
		id, err := j.s.idOf(ioctx, name)
		if err != nil {
			return err
		}
		if other := c.listed[id]; other != "" {
			j.report(Finding{
				Object: inNamespace(namespace, "rbd_id."+name), Class: ClassDoubleName, Image: other,
				Detail: "a second name of the image " + other, Repairable: j.dead[inNamespace(namespace, other)] || j.dead[inNamespace(namespace, name)],
			})
			continue
		}
		half(name, "it has an id, and is not listed")
	}
	return nil
}

// judgeImage opens one image: its parents must be there, and its snapshots wanted.
func (s *scope) judgeImage(l listed, notes map[string]note) ([]Finding, error) {
	ioctx, err := s.poolOf(l.ImageSpec)
	if err != nil {
		return nil, err
	}
	img, err := s.imageByIDReadOnly(ioctx, l.id, librbd.NoSnapshot)
	if isErrno(err, syscall.ENOENT, syscall.EIO) {
		return []Finding{{
			Pool: l.Pool, Object: l.String(), Class: ClassLostParent, Image: l.Image,
			Detail: fmt.Sprintf("it does not open (%v), as a clone whose parent is gone", err),
		}}, nil
	}
	if err != nil {
		return nil, err
	}
	found, err := s.judgeSnapshots(ioctx, img, l)
	if err != nil {
		return nil, err
	}
	snaps, err := img.snapshots()
	if err != nil {
		return nil, err
	}
	for _, snap := range snaps {
		if !passing(snap.Name) {
			continue
		}
		n := note{Namespace: l.Namespace, ImageID: l.id, Snap: snap.Name}
		known, noted := notes[n.key()]
		if noted {
			n = known // which tells how long it waits for its clone
		}
		holder, err := s.mayDrop(l.Pool, n)
		if err != nil {
			return nil, err
		}
		if holder.Image != "" {
			found = append(found, Finding{
				Pool: l.Pool, Object: l.At(snap.Name).String(), Class: ClassOrphanSnap, Image: l.Image,
				Detail: "it has no clones any more", Repairable: noted || strings.HasPrefix(snap.Name, deletedSnap),
			})
		}
	}
	return found, nil
}

// judgeSnapshots finds snapshots whose removal was cut short. A client that has the image
// open may be about to end that.
func (s *scope) judgeSnapshots(ioctx *ioContext, img *openImage, l listed) ([]Finding, error) {
	half, err := s.halfRemoved(ioctx, img, l.id)
	if err != nil || len(half) == 0 {
		return nil, err
	}
	if err := img.idle(); errors.Is(err, ErrInUse) || isErrno(err, syscall.EPERM, syscall.EACCES) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	var found []Finding
	for _, snap := range half {
		found = append(found, Finding{
			Pool: l.Pool, Object: fmt.Sprintf("%s@%d", l, snap.Id), Class: ClassHalfSnap, Image: l.Image,
			Detail: fmt.Sprintf("its removal was cut short; `rbd snap rm --snap-id %d %s` ends it, unless somebody is flattening a clone of it", snap.Id, l),
		})
	}
	return found, nil
}
