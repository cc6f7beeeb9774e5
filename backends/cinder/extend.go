package cinder

import (
	"bytes"
	"context"
	"errors"

	"rbdctl/rbd"
)

// Extend makes a volume larger; it may be in use. The size it has is success, a
// smaller one ErrInvalid: nothing is ever cut off.
//
// The image of an encrypted volume is larger than the volume by its LUKS header.
// Asked for whole GiB, as Cinder counts, such an image keeps that much more; any
// other size is taken as it is.
//
// See: cinder/volume/drivers/rbd.py, extend_volume.
func (v Volumes) Extend(ctx context.Context, id string, size uint64) (Volume, error) {
	info, err := v.lookAt(ctx, id)
	if err != nil {
		return Volume{}, err
	}
	size, err = v.withHeader(ctx, info.Spec.At(""), info.Size, size)
	if err != nil {
		return Volume{}, err
	}
	if info, err = v.Images.Extend(ctx, info.Spec, size); err != nil {
		return Volume{}, err
	}
	out, err := v.whole(ctx, id, info)
	if errors.Is(err, ErrNotFound) {
		if _, gone := v.lookAt(ctx, id); errors.Is(gone, ErrNotFound) {
			return v.describe(id, info), nil // it was deleted since, and extended all the same
		}
	}
	return out, err
}

const wholeSize = 1 << 30 // bytes; Cinder's sizes are multiples of it

// withHeader is the size that the image of spec, which has have bytes, or a clone
// of it, must have to be a volume of size bytes.
func (v Volumes) withHeader(ctx context.Context, spec rbd.SnapSpec, have, size uint64) (uint64, error) {
	header := have % wholeSize
	if header == 0 || size%wholeSize != 0 {
		return size, nil
	}
	encrypted, err := v.encrypted(ctx, spec)
	if err != nil || !encrypted || size+header < size {
		return size, err
	}
	return size + header, nil
}

// luksMagic begins a LUKS header, of both versions.
const luksMagic = "LUKS\xba\xbe"

// encrypted tells whether an image begins with a LUKS header.
func (v Volumes) encrypted(ctx context.Context, spec rbd.SnapSpec) (bool, error) {
	var head headWriter
	err := v.Images.Read(ctx, spec, &head, nil)
	if errors.Is(err, errEnough) {
		err = nil
	}
	return bytes.Equal(head.first, []byte(luksMagic)), err
}

// errEnough ends a read that has what it looked for.
var errEnough = errors.New("the head is read")

// headWriter takes the first bytes and refuses the rest.
type headWriter struct{ first []byte }

func (h *headWriter) Write(data []byte) (int, error) {
	n := min(len(luksMagic)-len(h.first), len(data))
	h.first = append(h.first, data[:n]...)
	if len(h.first) == len(luksMagic) {
		return n, errEnough
	}
	return n, nil
}
