package rbd

import (
	"context"
	"encoding/binary"
	"strconv"
	"strings"

	"github.com/ceph/go-ceph/rados"
	librbd "github.com/ceph/go-ceph/rbd"
)

// survey is what is in a pool at one time, by the names of its objects.
type survey struct {
	pool    string
	corners map[string]*corner // by RBD namespace
	intents []string           // objects
	unknown []object
}

// object is the name of one object.
type object struct{ namespace, name string }

// corner is what is in one RBD namespace of a pool.
type corner struct {
	listed  map[string]string // id → name, as the namespace lists its images
	names   map[string]string // name → id, the same the other way round
	trash   map[string]bool   // ids
	ids     map[string]bool   // names that have an object with the id
	headers map[string]bool   // ids
	maps    map[string]bool   // ids
	data    map[string]int    // id → objects; "<pool id>.<id>" for an image of another pool
}

// systemObjects begin the names of RBD's own records, and of images of format 1.
var systemObjects = []string{ //nolint:gochecknoglobals // a table, never written
	"rbd_directory", "rbd_trash", "rbd_info", "rbd_children", "rbd_namespace", "rbd_mirror",
	"rbd_group_", "rbd_task", "rbd_support", "rbd_trash_purge_schedule", "rbd_mirror_snapshot_schedule",
	"rbd_lock", "rbd_pool_metadata", "rbd_metadata", "journal.", "journal_data.", "rb.0.", "gateway.conf",
}

// survey lists the objects of a pool, in all namespaces, and reads RBD's lists of
// images.
func (s *scope) survey(ctx context.Context, pool string) (*survey, error) {
	v := &survey{pool: pool, corners: map[string]*corner{}}
	if err := s.readLists(v, ""); err != nil {
		return nil, err
	}
	root, err := s.pool(pool, "")
	if err != nil {
		return nil, err
	}
	namespaces, err := native(s, "rbd_namespace_list", func() ([]string, error) { return librbd.NamespaceList(root) })
	if err != nil {
		return nil, err
	}
	for _, namespace := range namespaces {
		if err := s.readLists(v, namespace); err != nil {
			return nil, err
		}
	}
	all, err := s.pool(pool, rados.AllNamespaces)
	if err != nil {
		return nil, err
	}
	return v, run(s, "rados_nobjects_list", func() error {
		iter, err := all.Iter()
		if err != nil {
			return err
		}
		defer iter.Close()
		for iter.Next() {
			if err := ctx.Err(); err != nil {
				return stopped(ctx)
			}
			v.add(object{iter.Namespace(), iter.Value()})
		}
		return iter.Err()
	})
}

// readLists reads a namespace's list of images, and its trash.
func (s *scope) readLists(v *survey, namespace string) error {
	c := &corner{
		listed: map[string]string{}, names: map[string]string{}, trash: map[string]bool{},
		ids: map[string]bool{}, headers: map[string]bool{}, maps: map[string]bool{}, data: map[string]int{},
	}
	v.corners[namespace] = c
	ioctx, err := s.pool(v.pool, namespace)
	if err != nil {
		return err
	}
	for oid, take := range map[string]func(key string, value []byte){
		"rbd_directory": func(key string, value []byte) {
			if id, ok := strings.CutPrefix(key, "id_"); ok {
				c.listed[id] = cephString(value)
			}
			if name, ok := strings.CutPrefix(key, "name_"); ok {
				c.names[name] = cephString(value)
			}
		},
		"rbd_trash": func(key string, _ []byte) {
			if id, ok := strings.CutPrefix(key, "id_"); ok {
				c.trash[id] = true
			}
		},
	} {
		values, err := native(s, "rados_omap_get", func() (map[string][]byte, error) {
			return ioctx.GetAllOmapValues(oid, "", "", 1000)
		})
		if err = ignoreMissing(err); err != nil {
			return err
		}
		for key, value := range values {
			take(key, value)
		}
	}
	return nil
}

// cephString is a string as Ceph encodes it, behind its length; "" when it is none.
func cephString(text []byte) string {
	if len(text) < 4 || int(binary.LittleEndian.Uint32(text)) != len(text)-4 {
		return ""
	}
	return string(text[4:])
}

// add takes one object into the survey.
func (v *survey) add(o object) {
	if o.namespace == intentNamespace && v.ours(o.name) {
		return
	}
	c := v.corners[o.namespace]
	if c == nil || !c.add(o.name) {
		v.unknown = append(v.unknown, o)
	}
}

// ours takes an object of the journal.
func (v *survey) ours(name string) bool {
	if strings.HasPrefix(name, intentPrefix) {
		v.intents = append(v.intents, name)
		return true
	}
	return isRegister(name)
}

// add takes an object of RBD's.
func (c *corner) add(name string) bool {
	if image, ok := strings.CutPrefix(name, "rbd_id."); ok {
		c.ids[image] = true
		return true
	}
	if id, ok := strings.CutPrefix(name, "rbd_header."); ok {
		c.headers[id] = true
		return true
	}
	if rest, ok := strings.CutPrefix(name, "rbd_object_map."); ok {
		id, _, _ := strings.Cut(rest, ".") // behind it, a snapshot's id
		c.maps[id] = true
		return true
	}
	if rest, ok := strings.CutPrefix(name, "rbd_data."); ok {
		if end := strings.LastIndex(rest, "."); end > 0 {
			c.data[rest[:end]]++
			return true
		}
		return false
	}
	if strings.HasSuffix(name, ".rbd") {
		return true // the header of an image of format 1
	}
	for _, prefix := range systemObjects {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

// has tells whether an image of this id is there, or is in the trash.
func (c *corner) has(id string) bool {
	_, listed := c.listed[id]
	return listed || c.trash[id]
}

// otherPool takes the key of data apart that belongs to an image of another pool.
func otherPool(key string) (pool int64, id string, ok bool) {
	number, id, ok := strings.Cut(key, ".")
	if !ok {
		return 0, "", false
	}
	pool, err := strconv.ParseInt(number, 10, 64)
	return pool, id, err == nil
}
