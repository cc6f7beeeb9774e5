package rbd

import (
	"cmp"
	"context"
	"time"

	"rbdctl/internal/fault"
)

// making is how long a look waits for the end of what makes the image: a moment,
// but for one whose process is dead, or has much to write.
const making = 3 * time.Second

// Whole is Stat for an image that is to be used. One that is being made, or that a
// dead process has left half made, is ErrUnavailable: it has the wrong size, or no
// parent, and may be removed and made anew at any moment. Whoever asks for it once
// more to be made, and finds it there, looks the same for that moment.
func (m *Images) Whole(ctx context.Context, spec ImageSpec) (Info, error) {
	for deadline := time.Now().Add(making); ; {
		before, err := m.maker(ctx, spec)
		if err != nil {
			return Info{}, err
		}
		info, err := m.Stat(ctx, spec)
		if err != nil {
			return Info{}, err
		}
		after, err := m.maker(ctx, spec)
		if err != nil || (before == nil && after == nil) {
			return info, err
		}
		if r := cmp.Or(after, before); time.Now().After(deadline) {
			return Info{}, wrap("info", spec.String(), fault.Newf(ErrUnavailable,
				"its %s by %s has not ended: ask for that again, or delete it", r.Op, r.Owner))
		}
		select {
		case <-ctx.Done():
			return Info{}, wrap("info", spec.String(), changedNothing(ctx.Err()))
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// maker is the record of the unfinished operation that makes spec; nil for none.
func (m *Images) maker(ctx context.Context, spec ImageSpec) (*record, error) {
	r, err := m.unfinished(ctx, spec)
	if err != nil || r == nil || !r.makes() {
		return nil, err
	}
	return r, nil
}

// unfinished is the record of the operation on spec that has begun and not ended; nil
// for none.
func (m *Images) unfinished(ctx context.Context, spec ImageSpec) (*record, error) {
	if err := spec.validate(); err != nil {
		return nil, wrap("info", spec.String(), err)
	}
	return callRead(ctx, m.cluster, "info", spec.String(), func(s *scope) (*record, error) {
		r, err := s.intentOf(spec)
		if r != nil && r.looks() {
			r = nil
		}
		return r, err
	})
}

// CheckSettled is ErrUnavailable while an operation is unfinished that makes the
// image, or that will change what it holds or how it is called: whoever comes next
// at the image carries it out, and takes with it what was written meanwhile. So it
// is asked for before the image is handed out, or read as a whole.
func (m *Images) CheckSettled(ctx context.Context, spec ImageSpec) error {
	r, err := m.unfinished(ctx, spec)
	if err != nil || r == nil || r.harmless() {
		return err
	}
	return wrap("info", spec.String(), fault.Newf(ErrUnavailable,
		"its %s by %s is not finished: ask for that again, or `rbdctl fsck --repair`", r.Op, r.Owner))
}
