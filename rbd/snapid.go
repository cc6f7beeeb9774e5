package rbd

// #cgo LDFLAGS: -lrados
// #include <rados/librados.h>
import "C"

import "syscall"

// snapID is an id that the monitors gave for a snapshot. One that is never used
// is a number less of 2^64, and nothing else: no OSD hears of it.
type snapID uint64

// newSnapID asks the monitors for an id. They answer with their next decision:
// within paxos_propose_interval, a second by default. It leaves the snapshot
// context of ioctx alone.
func (s *scope) newSnapID(ioctx *ioContext) (snapID, error) {
	return native(s, "rados_ioctx_selfmanaged_snap_create", func() (snapID, error) {
		var id C.rados_snap_t
		err := fromC(C.rados_ioctx_selfmanaged_snap_create(C.rados_ioctx_t(ioctx.Pointer()), &id))
		return snapID(id), err
	})
}

// dropSnapID gives back an id that no snapshot has.
func (s *scope) dropSnapID(ioctx *ioContext, id snapID) error {
	return run(s, "rados_ioctx_selfmanaged_snap_remove", func() error {
		return fromC(C.rados_ioctx_selfmanaged_snap_remove(C.rados_ioctx_t(ioctx.Pointer()), C.rados_snap_t(id)))
	})
}

// fromC is the error of a call that returned rc: an errno, negative.
func fromC(rc C.int) error {
	if rc >= 0 {
		return nil
	}
	return &nativeError{syscall.Errno(-rc)}
}
