package cinder

import (
	"context"
	"errors"
	"regexp"
	"slices"
	"strings"
	"sync"

	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// Manageable is an image of the pool that Cinder may take for a volume, or why it
// may not. Whether Cinder has it already only Cinder knows.
type Manageable struct {
	Name   string `json:"name"`
	ID     string `json:"id"` // of the volume that the name is of; empty: another name
	Size   uint64 `json:"size_bytes"`
	Safe   bool   `json:"safe"`
	Reason string `json:"reason"` // why not; empty when it is safe
}

// ManageableSnapshot is a snapshot that Cinder may take for one of its own, or why
// it may not.
type ManageableSnapshot struct {
	Name   string `json:"name"`
	ID     string `json:"id"` // of the snapshot that the name is of; empty: another name
	Size   uint64 `json:"size_bytes"`
	Safe   bool   `json:"safe"`
	Reason string `json:"reason"`
}

// Manageable lists the images of the pool, sorted by name. One that can't be read is not
// safe, and its size is 0.
// See: cinder/volume/drivers/rbd.py, get_manageable_volumes.
func (v Volumes) Manageable(ctx context.Context) ([]Manageable, error) {
	names, err := v.Images.List(ctx, v.Pool, "")
	if err != nil {
		return nil, err
	}
	list := []Manageable{}
	var mu sync.Mutex
	err = v.eachImage(ctx, names, func(ctx context.Context, info rbd.Info, unreadable error) error {
		m := Manageable{Name: info.Spec.Image}
		m.ID, _ = ParseName(m.Name)
		if unreadable == nil {
			m, unreadable = v.manageable(ctx, info)
		}
		if unreadable != nil {
			if errors.Is(unreadable, ErrNotFound) || ctx.Err() != nil {
				return unreadable
			}
			m.Safe, m.Reason = false, "it can't be read: "+unreadable.Error()
		}
		mu.Lock()
		defer mu.Unlock()
		list = append(list, m)
		return nil
	})
	slices.SortFunc(list, func(a, b Manageable) int { return strings.Compare(a.Name, b.Name) })
	return list, err
}

// ManageableImage is Manageable of one image, and looks at no other. ErrNotFound when it
// is not there; one that can't be read is an error, too.
// See: cinder/volume/drivers/rbd.py, manage_existing_get_size.
func (v Volumes) ManageableImage(ctx context.Context, name string) (Manageable, error) {
	if err := rbd.CheckName("image", name); err != nil {
		return Manageable{}, err
	}
	info, err := v.Images.Stat(ctx, rbd.ImageSpec{Pool: v.Pool, Image: name})
	if err != nil {
		return Manageable{}, err
	}
	return v.manageable(ctx, info)
}

func (v Volumes) manageable(ctx context.Context, info rbd.Info) (Manageable, error) {
	m := Manageable{Name: info.Spec.Image, Size: info.Size}
	m.ID, _ = ParseName(m.Name)
	var err error
	m.Reason, err = v.inTheWay(ctx, info)
	m.Safe = m.Reason == "" && err == nil
	return m, err
}

// ManageableSnapshots lists the snapshots of a volume, oldest first.
// See: cinder/volume/drivers/rbd.py, get_manageable_snapshots.
func (v Volumes) ManageableSnapshots(ctx context.Context, id string) ([]ManageableSnapshot, error) {
	info, err := v.lookAt(ctx, id)
	list := []ManageableSnapshot{}
	for _, s := range info.Snapshots {
		m := ManageableSnapshot{Name: s.Name, Size: s.Size, Reason: snapshotRole(s.Name)}
		m.ID, _ = ParseSnapshot(s.Name)
		m.Safe = m.Reason == ""
		list = append(list, m)
	}
	return list, err
}

// inTheWay says why an image should not become a volume; empty when it may.
func (v Volumes) inTheWay(ctx context.Context, info rbd.Info) (string, error) {
	if role := role(info); role != "" {
		return role, nil
	}
	watchers, err := v.Images.Watchers(ctx, info.Spec)
	if err != nil || len(watchers) == 0 {
		return "", err
	}
	return "it is open by the client at " + watchers[0].Address, nil
}

// roles are the names that say that an image is something else.
var roles = []struct { //nolint:gochecknoglobals // a constant table
	name *regexp.Regexp
	role string
}{
	{regexp.MustCompile(`^volume-.*\.backup\.`), "it is a backup of Cinder's"},
	{regexp.MustCompile(`^volume-.*\.deleted$`), "it is a deleted volume that the upstream driver keeps for its clones"},
	{regexp.MustCompile(`^` + uuidPattern + `_(disk|resize)`), "it is a disk of a Nova instance"},
}

const uuidPattern = `[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}`

var glanceName = regexp.MustCompile(`^` + uuidPattern + `$`)

// role is what an image is beside a volume; empty for one that is nothing else. The
// parent of clones is no role: volumes are that, too.
func role(info rbd.Info) string {
	if rbd.OfJob(info.Spec.Image) {
		return "a job makes it, and gives it its name when it is whole"
	}
	for _, r := range roles {
		if r.name.MatchString(info.Spec.Image) {
			return r.role
		}
	}
	if snap, ok := info.Snapshot("snap"); ok && snap.Protected && glanceName.MatchString(info.Spec.Image) {
		return "it is a Glance image"
	}
	return ""
}

// snapshotRole is what a snapshot is beside one of Cinder's or of nobody's.
func snapshotRole(name string) string {
	switch {
	case strings.HasSuffix(name, cloneSuffix):
		return "a volume is a clone of it"
	case strings.HasPrefix(name, "backup."):
		return "it is of a backup"
	case strings.HasPrefix(name, "rbdctl-deleted-"):
		return "it is deleted, and stays for its clones"
	}
	return ""
}

// checkAdoptable refuses an image that is something else, or in use.
func (v Volumes) checkAdoptable(ctx context.Context, info rbd.Info) error {
	if role := role(info); role != "" {
		return fault.Newf(ErrInvalid, "image %s cannot become a volume: %s", info.Spec, role)
	}
	reason, err := v.inTheWay(ctx, info)
	if err == nil && reason != "" {
		err = fault.Newf(ErrInUse, "image %s cannot become a volume: %s", info.Spec, reason)
	}
	return err
}
