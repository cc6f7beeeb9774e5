package rbd

import (
	"bytes"
	"encoding/binary"
)

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

// decoder reads what encoder writes. From where the text is cut off it reads zeroes, and is
// short.
type decoder struct {
	rest  []byte
	short bool
}

func (d *decoder) bytes(n uint32) []byte {
	if uint64(n) > uint64(len(d.rest)) {
		d.rest, d.short = nil, true
		return nil
	}
	read := d.rest[:n]
	d.rest = d.rest[n:]
	return read
}

func (d *decoder) uint64() uint64 {
	var v [8]byte
	copy(v[:], d.bytes(8))
	return binary.LittleEndian.Uint64(v[:])
}

func (d *decoder) uint32() uint32 {
	var v [4]byte
	copy(v[:], d.bytes(4))
	return binary.LittleEndian.Uint32(v[:])
}

func (d *decoder) string() string { return string(d.bytes(d.uint32())) }

// head skips version, oldest version and length of a struct.
func (d *decoder) head() { d.bytes(6) }
