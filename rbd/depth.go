package rbd

import (
	"context"
	"fmt"

	librbd "github.com/ceph/go-ceph/rbd"
)

// maxDepth ends a walk that goes round.
const maxDepth = 128

// Depth counts all the parents that an image reads through: 0 for one that is not a
// clone, 2 for a clone of a clone. Parents in the trash and in other pools count.
//
// Similar To: rbd info <spec>, and again for each parent
func (m *Images) Depth(ctx context.Context, spec ImageSpec) (int, error) {
	if err := spec.validate(); err != nil {
		return 0, wrap("info", spec.String(), err)
	}
	return look(ctx, m, "info", spec, func(img *openImage) (int, error) {
		for depth := 0; depth < maxDepth; depth++ {
			p, err := img.parent()
			if err != nil || p == nil {
				return depth, err
			}
			if err := img.close(); err != nil {
				return depth, err
			}
			ioctx, err := img.s.pool(p.Pool, p.Namespace)
			if err != nil {
				return depth, err
			}
			if img, err = img.s.imageByIDReadOnly(ioctx, p.ImageID, librbd.NoSnapshot); err != nil {
				return depth, fmt.Errorf("parent %s: %w", p, err)
			}
		}
		return maxDepth, nil
	})
}
