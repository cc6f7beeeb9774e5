package cinder

import (
	"context"

	"rbdctl/backends"
	"rbdctl/rbd"
)

// Flatten cuts a volume from its parent, in the background: the job tells how far
// it is. The same request to create the volume goes on being success.
//
// Similar To: rbd flatten volumes/volume-<uuid>
func (v Volumes) Flatten(ctx context.Context, id string) (rbd.Job, error) {
	info, err := v.lookAt(ctx, id)
	if err != nil {
		return rbd.Job{}, err
	}
	return v.flatten(ctx, info.Spec, id, v.sourceOf(info))
}

// flatten notes what the volume was made of, which its parent tells no more
// afterwards, and starts the job.
func (v Volumes) flatten(ctx context.Context, spec rbd.ImageSpec, id string, s Source) (rbd.Job, error) {
	if s.Kind != Empty {
		if err := v.Images.SetMetadata(ctx, spec, map[string]string{originKey: origin(id, s)}, nil); err != nil {
			return rbd.Job{}, err
		}
	}
	return v.Images.StartFlatten(ctx, spec)
}

// originKey is, in the metadata of a volume that was flattened or imported, what it was
// made of. A clone inherits metadata, so the value begins with the volume's own id.
const originKey = "rbdctl_origin"

// origin is the value of originKey for the volume id that is made of s.
func origin(id string, s Source) string { return id + " " + s.Kind + " " + s.ID }

// sourceOf is what a volume was made of, as its parent's name tells; Empty when it
// does not.
func (v Volumes) sourceOf(info rbd.Info) Source {
	p := info.Parent
	if p == nil {
		return Source{Kind: Empty}
	}
	if id, ok := ParseSnapshot(p.Snap); ok {
		return Source{Kind: FromSnapshot, ID: id}
	}
	if id, ok := ParseName(p.Image); ok && p.Snap == info.Spec.Image+cloneSuffix {
		return Source{Kind: FromVolume, ID: id}
	}
	if p.Pool == v.ImagePool && p.Snap == backends.GlanceSnapshot {
		return Source{Kind: FromImage, ID: p.Image}
	}
	return Source{Kind: Empty}
}

// madeOf tells whether a volume was made of s: it is a clone of that, or was one, or was
// imported.
func (v Volumes) madeOf(ctx context.Context, id string, info rbd.Info, s Source) (bool, error) {
	if info.Parent != nil {
		made := v.sourceOf(info)
		return made.Kind == s.Kind && made.ID == s.ID, nil
	}
	metadata, err := v.Images.Metadata(ctx, info.Spec)
	return metadata[originKey] == origin(id, s), err
}

// flattened accepts a volume that was made as m wants it and has been cut from its
// parent since, or was imported; conflict is what else there is to say.
func (v Volumes) flattened(ctx context.Context, m making, conflict error) (rbd.Ensured, error) {
	info, err := v.lookAt(ctx, m.ID)
	if err != nil || info.Parent != nil || info.Size != m.want.Size {
		return rbd.Ensured{}, conflict
	}
	if same, err := v.madeOf(ctx, m.ID, info, m.Source); err != nil || !same {
		return rbd.Ensured{}, conflict
	}
	return rbd.Ensured{Info: info}, nil
}
