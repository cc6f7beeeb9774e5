package rbd

import (
	"bytes"
	"encoding/binary"
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

// encoder writes what Ceph's encode functions write: little endian, strings
// behind their length.
type encoder struct{ bytes.Buffer }

func (e *encoder) byte(v byte)     { e.WriteByte(v) }
func (e *encoder) uint32(v uint32) { e.Write(binary.LittleEndian.AppendUint32(nil, v)) }
func (e *encoder) string(v string) { e.uint32(uint32(len(v))); e.WriteString(v) }

// encoded is a struct of version 1 that fill writes.
func encoded(fill func(*encoder)) []byte { return encodedAs(1, fill) }

// encodedAs is a struct of that version, which those who know version 1 can read.
func encodedAs(version byte, fill func(*encoder)) []byte {
	var body, whole encoder
	fill(&body)
	whole.byte(version)
	whole.byte(1) // oldest version that can read it
	whole.uint32(uint32(body.Len()))
	whole.Write(body.Bytes())
	return whole.Bytes()
}
