package rbd

import (
	"encoding/binary"
	"sync"
)

// The states of a data object in an object map (ceph src/include/rbd/
// object_map_types.h).
const (
	objectNone   = 0 // OBJECT_NONEXISTENT
	objectExists = 1 // OBJECT_EXISTS: it may be there, and may differ from the last snapshot
	objectClean  = 3 // OBJECT_EXISTS_CLEAN: it is there as it was at the last snapshot
)

// objectMap says which data objects of an image are there: two bits for each, the
// first object's in the highest bits of the first byte, as in Ceph's BitVector<2>.
type objectMap struct {
	mu   sync.Mutex
	bits []byte
}

// set puts object n, counted from 0, into the map as one that exists.
func (m *objectMap) set(n uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if need := int(n/4 + 1); need > len(m.bits) {
		m.bits = append(m.bits, make([]byte, max(need, 2*len(m.bits))-len(m.bits))...)
	}
	m.bits[n/4] |= objectExists << (6 - 2*(n%4))
}

// encode is the map of an image of so many objects, each that exists in the given
// state, as the method object_map_save of the class "rbd" takes it: the number of
// objects, the bits, and no checksums, which the OSD adds (ceph
// src/common/bit_vector.hpp).
func (m *objectMap) encode(objects uint64, state byte) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	header := encoded(func(e *encoder) { e.Write(binary.LittleEndian.AppendUint64(nil, objects)) })
	var e encoder
	e.uint32(uint32(len(header)))
	e.Write(header)
	bits := make([]byte, (objects+3)/4)
	copy(bits, m.bits)
	for i := range bits {
		bits[i] *= state // of each pair of bits only the lower one is set
	}
	e.Write(bits)
	e.uint32(0) // no footer
	return e.Bytes()
}
