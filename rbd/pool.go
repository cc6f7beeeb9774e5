package rbd

import (
	"context"

	librbd "github.com/ceph/go-ceph/rbd"
)

// InitPool makes a pool ready for RBD: it sets the application, and writes the
// object by which librbd knows that the pool takes overwrites. To do it again is
// harmless. It does not force: a pool of another application keeps its own.
//
// Similar To: rbd pool init <pool>
func (c *Cluster) InitPool(ctx context.Context, pool string) error {
	return c.onPool(ctx, "pool init", "rbd_pool_init", pool, func(ioctx *ioContext) error {
		return librbd.PoolInit(ioctx, false)
	})
}

// CreateNamespace makes a namespace for images in a pool.
//
// Similar To: rbd namespace create <pool>/<name>
func (c *Cluster) CreateNamespace(ctx context.Context, pool, name string) error {
	return c.onPool(ctx, "namespace create", "rbd_namespace_create", pool, func(ioctx *ioContext) error {
		return librbd.NamespaceCreate(ioctx, name)
	})
}

// RemoveNamespace removes one without images; ErrInUse otherwise.
//
// Similar To: rbd namespace rm <pool>/<name>
func (c *Cluster) RemoveNamespace(ctx context.Context, pool, name string) error {
	return c.onPool(ctx, "namespace rm", "rbd_namespace_remove", pool, func(ioctx *ioContext) error {
		return librbd.NamespaceRemove(ioctx, name)
	})
}

// Namespaces lists those of a pool, without the default one.
//
// Similar To: rbd namespace ls <pool>
func (c *Cluster) Namespaces(ctx context.Context, pool string) ([]string, error) {
	return callRead(ctx, c, "namespace ls", pool, func(s *scope) ([]string, error) {
		ioctx, err := s.pool(pool, "")
		if err != nil {
			return nil, err
		}
		return native(s, "rbd_namespace_list", func() ([]string, error) { return librbd.NamespaceList(ioctx) })
	})
}

// onPool runs one native call on a pool.
func (c *Cluster) onPool(ctx context.Context, op, nativeName, pool string, fn func(*ioContext) error) error {
	_, err := call(ctx, c, op, pool, func(s *scope) (struct{}, error) {
		var none struct{}
		ioctx, err := s.pool(pool, "")
		if err != nil {
			return none, err
		}
		return none, run(s, nativeName, func() error { return fn(ioctx) })
	})
	return err
}
