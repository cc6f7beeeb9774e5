package sidecar

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

// ownPool gives a server a pool that no other test uses.
func ownPool(t *testing.T) func(*Config) {
	t.Helper()
	return func(c *Config) { c.Pool, c.ImagePool = labtest.FreshPool(t), labtest.Pool(t) }
}

// leaves fails the test unless the pool of volumes comes to hold just these volumes, by
// their paths in the API: each object is one's, so that there is no other image, nothing
// in the trash, and no journal, with whose entries the locks go. No image is locked.
func (r *running) leaves(paths ...string) {
	r.Helper()
	var surplus []string
	defer func() {
		if len(surplus) > 0 {
			r.Logf("left over in pool %s: %s", r.cfg.Pool, surplus)
		}
	}()
	r.eventually("nothing is left over", func() bool { surplus = r.surplus(paths); return len(surplus) == 0 })
}

// surplus are the objects of the pool that belong to none of the volumes, the volumes
// that are missing, and the locks.
func (r *running) surplus(paths []string) []string {
	r.Helper()
	own := []string{"/rbd_directory", "/rbd_info", "/rbd_children", "/rbd_trash", "/rbd_group_directory"}
	var ids, surplus []string
	for _, path := range paths {
		image := "volume-" + strings.TrimPrefix(path, "/v1/volumes/")
		var info struct{ ID string }
		r.must(json.Unmarshal(r.tool("rbd", "info", "--format", "json", r.cfg.Pool+"/"+image), &info))
		ids, own = append(ids, info.ID), append(own, "/rbd_id."+image)
		if locks := r.tool("rbd", "lock", "ls", r.cfg.Pool+"/"+image); len(locks) > 0 {
			surplus = append(surplus, "lock of "+image)
		}
	}
	var objects []string
	for line := range strings.Lines(string(r.tool("rados", "-p", r.cfg.Pool, "ls", "--all"))) {
		namespace, name, _ := strings.Cut(strings.TrimRight(line, "\n"), "\t")
		objects = append(objects, namespace+"/"+name)
	}
	for _, object := range objects {
		fields := strings.Split(object, ".") // such as rbd_data.ID.NUMBER
		if !slices.Contains(own, object) && !(object[0] == '/' && len(fields) > 1 && slices.Contains(ids, fields[1])) {
			surplus = append(surplus, object)
		}
	}
	return surplus
}

// tool is what a tool of Ceph's says of the cluster of a server.
func (r *running) tool(name string, args ...string) []byte {
	r.Helper()
	out, err := lab.Command(context.WithoutCancel(r.Context()), r.cfg.Cluster.ConfFile, name, args...).Output()
	r.must(err)
	return out
}
