package rbd

import (
	"context"
	"fmt"
	"syscall"

	"rbdctl/internal/fault"
)

// Metadata reads the key-value pairs that are stored with an image, such as its
// QoS limits ("conf_rbd_qos_…").
//
// Similar To: rbd image-meta ls <spec>
func (m *Images) Metadata(ctx context.Context, spec ImageSpec) (map[string]string, error) {
	if err := spec.validate(); err != nil {
		return nil, wrap(opMetadata, spec.String(), err)
	}
	return look(ctx, m, opMetadata, spec, func(img *openImage) (map[string]string, error) {
		return native(img.s, "rbd_metadata_list", img.ListMetadata)
	})
}

// SetMetadata stores the pairs of set and removes the keys of drop; others stay. A
// key to drop that is not there is success.
//
// Similar To: rbd image-meta set <spec> <key> <value>; rbd image-meta remove <spec> <key>
func (m *Images) SetMetadata(ctx context.Context, spec ImageSpec, set map[string]string, drop []string) error {
	for key := range set {
		if key == "" {
			return wrap(opMetadata, spec.String(), fault.New(ErrInvalid, "a key is empty"))
		}
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	_, err := change(ctx, m, deed{Op: opMetadata}, spec, func(s *scope, ioctx *ioContext) (struct{}, error) {
		img, err := s.image(ioctx, spec.Image)
		if err != nil {
			return struct{}{}, err
		}
		return struct{}{}, img.setMetadata(set, drop)
	})
	return err
}

func (o *openImage) setMetadata(set map[string]string, drop []string) error {
	for key, value := range set {
		if err := run(o.s, "rbd_metadata_set", func() error { return o.SetMetadata(key, value) }); err != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	for _, key := range drop {
		if _, both := set[key]; both {
			continue
		}
		err := run(o.s, "rbd_metadata_remove", func() error { return o.RemoveMetadata(key) })
		if ignore(err, syscall.ENOENT) != nil {
			return fmt.Errorf("%s: %w", key, err)
		}
	}
	return nil
}
