package rbd

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"syscall"

	"github.com/ceph/go-ceph/rados"
)

// A register is one RADOS object, in the namespace rbdctl of a pool, with an entry
// for each of something that somebody has to come back to. To find such things by
// listing the namespace would read the whole pool: Ceph lists a pool and leaves
// out what is in other namespaces. The object is there while it has entries.
type register struct {
	s     *scope
	ioctx *ioContext
	oid   string
}

// spaceOrNot lets a write of the journal through in a pool that is at its quota: to
// delete something takes some bytes at first.
const spaceOrNot = rados.OperationFullForce

// The registers.
const (
	trashRegister = "trash" // images that we moved to the trash
	snapsRegister = "snaps" // snapshots that are to go with their last clone
	jobsRegister  = "jobs"  // long work
)

// isRegister tells whether an object of the journal is a register.
func isRegister(oid string) bool {
	return oid == trashRegister || oid == snapsRegister || oid == jobsRegister
}

func (s *scope) register(pool, oid string) (register, error) {
	ioctx, err := s.pool(pool, intentNamespace)
	return register{s, ioctx, oid}, err
}

// put makes or replaces an entry.
func (r register) put(key string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return r.operate("register put", func(w *rados.WriteOp) {
		w.Create(rados.CreateIdempotent)
		w.SetOmap(map[string][]byte{key: text})
	})
}

// drop removes an entry, and the object with its last one. An entry that is gone
// is success.
func (r register) drop(key string) error {
	err := r.operate("register drop", func(w *rados.WriteOp) {
		w.AssertExists()
		w.RmOmapKeys([]string{key})
	})
	if err != nil {
		return ignore(err, syscall.ENOENT)
	}
	return r.removeEmpty()
}

// dropSame is drop for an entry that is still value. It is for the end of something
// whose intent is finished already, so that no intent stays behind without an entry
// that leads to it; by then the entry can be a new one.
func (r register) dropSame(key string, value any) error {
	dropped, err := r.ifSame(key, value, "register drop", func(w *rados.WriteOp) { w.RmOmapKeys([]string{key}) })
	if err != nil || !dropped {
		return err
	}
	return r.removeEmpty()
}

// replace is put for an entry that is still before; another one stays.
func (r register) replace(key string, before, after any) error {
	text, err := json.Marshal(after)
	if err != nil {
		return err
	}
	_, err = r.ifSame(key, before, "register replace", func(w *rados.WriteOp) { w.SetOmap(map[string][]byte{key: text}) })
	return err
}

// ifSame makes a write while an entry is still value; false when it is not.
func (r register) ifSame(key string, value any, step string, fill func(*rados.WriteOp)) (bool, error) {
	want, err := json.Marshal(value)
	if err != nil {
		return false, err
	}
	for {
		values, err := native(r.s, "rados_omap_get", func() (map[string][]byte, error) {
			return r.ioctx.GetOmapValues(r.oid, "", key, 1)
		})
		if err = ignore(err, syscall.ENOENT); err != nil || !bytes.Equal(values[key], want) {
			return false, err
		}
		version, err := r.ioctx.GetLastVersion()
		if err != nil {
			return false, err
		}
		err = r.operate(step, func(w *rados.WriteOp) {
			w.AssertVersion(version)
			fill(w)
		})
		if isErrno(err, syscall.ERANGE, syscall.EOVERFLOW) {
			continue // something else was put in meanwhile
		}
		return err == nil, ignore(err, syscall.ENOENT)
	}
}

// removeEmpty removes the object if it has no entries.
func (r register) removeEmpty() error {
	left, err := native(r.s, "rados_omap_get", func() (map[string][]byte, error) {
		return r.ioctx.GetOmapValues(r.oid, "", "", 1)
	})
	if err != nil || len(left) > 0 {
		return ignore(err, syscall.ENOENT)
	}
	version, err := r.ioctx.GetLastVersion()
	if err != nil {
		return err
	}
	err = r.operate("register remove", func(w *rados.WriteOp) {
		w.AssertVersion(version) // nobody has put anything in meanwhile
		w.Remove()
	})
	return ignore(err, syscall.ENOENT, syscall.ERANGE, syscall.EOVERFLOW)
}

// entries reads the register. One that is not there has none.
func (r register) entries() (map[string][]byte, error) {
	values, err := native(r.s, "rados_omap_get", func() (map[string][]byte, error) {
		return r.ioctx.GetAllOmapValues(r.oid, "", "", 1000)
	})
	return values, ignore(err, syscall.ENOENT)
}

// get reads one entry into value; false when there is none.
func (r register) get(key string, value any) (bool, error) {
	values, err := native(r.s, "rados_omap_get", func() (map[string][]byte, error) {
		return r.ioctx.GetOmapValues(r.oid, "", key, 1)
	})
	if err = ignore(err, syscall.ENOENT); err != nil {
		return false, err
	}
	text, there := values[key]
	if !there {
		return false, nil
	}
	return true, r.decode(key, text, value)
}

func (r register) decode(key string, text []byte, value any) error {
	if err := json.Unmarshal(text, value); err != nil {
		return fmt.Errorf("entry %s of %s is not one of ours: %w", key, r.oid, err)
	}
	return nil
}

func (r register) operate(step string, fill func(*rados.WriteOp)) error {
	return run(r.s, step, func() error {
		w := rados.CreateWriteOp()
		defer w.Release()
		fill(w)
		return plain(w.Operate(r.ioctx, r.oid, spaceOrNot))
	})
}

// ignore is nil for an error that carries one of the numbers.
func ignore(err error, numbers ...syscall.Errno) error {
	var refused *nativeError
	if errors.As(err, &refused) && isErrno(err, numbers...) {
		return nil
	}
	return err
}
