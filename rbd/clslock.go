package rbd

import (
	"time"

	"github.com/ceph/go-ceph/rados"
)

// The lock of an intent, through the OSDs' class "lock". go-ceph has its calls
// one by one; here they are steps of a write, which happens as a whole or not at
// all. The encodings are those of ceph src/cls/lock/cls_lock_ops.h.

const (
	lockName      = "intent"
	lockExclusive = 1 // ClsLockType::EXCLUSIVE
)

// addLock makes op take the lock, for lease by the OSD's clock; EBUSY otherwise.
func addLock(op *rados.WriteOp, cookie string, lease time.Duration, renew bool) {
	var flags byte
	if renew {
		flags = 1 // LOCK_FLAG_MAY_RENEW
	}
	op.Exec("lock", "lock", encoded(func(b *encoder) {
		b.string(lockName)
		b.byte(lockExclusive)
		b.string(cookie)
		b.string("") // tag
		b.string("") // description
		b.uint32(uint32(lease / time.Second))
		b.uint32(uint32(lease % time.Second))
		b.byte(flags)
	}))
}

// assertLocked makes op fail with EBUSY, as a whole, unless cookie of this
// client holds the lock: a stalled owner that was taken over writes nothing.
func assertLocked(op *rados.WriteOp, cookie string) {
	op.Exec("lock", "assert_locked", encoded(func(b *encoder) {
		b.string(lockName)
		b.byte(lockExclusive)
		b.string(cookie)
		b.string("") // tag
	}))
}
