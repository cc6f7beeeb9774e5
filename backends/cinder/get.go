package cinder

import (
	"context"

	"rbdctl/rbd"
)

// Get looks at a volume. ErrNotFound when it is not there.
//
// Similar To: rbd info volumes/volume-<uuid>
func (v Volumes) Get(ctx context.Context, id string) (Volume, error) {
	info, err := v.lookAt(ctx, id)
	if err != nil {
		return Volume{}, err
	}
	return v.whole(ctx, id, info)
}

// whole is describe with what info does not tell.
func (v Volumes) whole(ctx context.Context, id string, info rbd.Info) (_ Volume, err error) {
	out := v.describe(id, info)
	if info.Parent != nil {
		if out.Depth, err = v.Images.Depth(ctx, info.Spec); err != nil {
			return Volume{}, err
		}
	}
	out.Metadata, err = v.Images.Metadata(ctx, info.Spec)
	return out, err
}
