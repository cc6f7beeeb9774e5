package cinder

import (
	"context"
	"slices"
	"strings"

	"rbdctl/rbd"
)

// singleWriter are the features that are for an image with one writer at a time:
// with several, the lock would go to and fro with every write.
// See: cinder/volume/drivers/rbd.py, MULTIATTACH_EXCLUSIONS.
var singleWriter = []string{"exclusive-lock", "fast-diff", "journaling", "object-map"} //nolint:gochecknoglobals // a constant list

// featuresKey is, in the metadata of a volume for several writers, which features
// were taken from it. A clone inherits both, the lack and the note of it.
const featuresKey = "rbdctl_features"

// Multiattach says how many hosts are to write to a volume.
type Multiattach struct {
	Enabled bool   // several
	Saved   uint64 // to end it: features from before, where none are noted; 0: not known
}

// SetMultiattach makes a volume fit for several writers at a time, or for one again
// with the features that it had: those that are noted, else those of m.Saved for one
// writer, which is how the upstream driver keeps them. saved are librbd's bits of the
// features that it has for one writer. Done already is success; so is a volume for one
// that never was for several. ErrInUse while a client has it open.
// See: cinder/volume/drivers/rbd.py, _enable_multiattach and _disable_multiattach.
//
// Similar To: rbd feature disable <volume> journaling fast-diff object-map exclusive-lock
func (v Volumes) SetMultiattach(ctx context.Context, id string, m Multiattach) (saved uint64, err error) {
	info, err := v.lookAt(ctx, id)
	if err != nil {
		return 0, err
	}
	metadata, err := v.Images.Metadata(ctx, info.Spec)
	if err != nil {
		return 0, err
	}
	noted := strings.FieldsFunc(metadata[featuresKey], func(r rune) bool { return r == ',' })
	if m.Enabled {
		err = v.severalWriters(ctx, info, noted)
	} else {
		if len(noted) == 0 {
			noted = featuresOf(m.Saved)
		}
		err = v.oneWriter(ctx, info, noted)
	}
	if err != nil {
		return 0, err
	}
	return rbd.FeatureBits(append(noted, info.Features...))
}

// featuresOf names those of the features that are for one writer.
func featuresOf(bits uint64) []string {
	return slices.DeleteFunc(slices.Clone(singleWriter), func(name string) bool {
		bit, err := rbd.FeatureBits([]string{name})
		return err != nil || bits&bit == 0
	})
}

// oneWriter gives a volume the features back that were taken from it.
func (v Volumes) oneWriter(ctx context.Context, info rbd.Info, taken []string) error {
	if len(taken) == 0 {
		return nil
	}
	if err := v.Images.SetFeatures(ctx, info.Spec, rbd.FeatureOptions{Enable: taken}); err != nil {
		return err
	}
	return v.Images.SetMetadata(ctx, info.Spec, nil, []string{featuresKey})
}

// severalWriters takes features from a volume, after it has noted which, beside
// those that it noted before it was killed.
func (v Volumes) severalWriters(ctx context.Context, info rbd.Info, noted []string) error {
	take := slices.DeleteFunc(slices.Clone(singleWriter), func(name string) bool { return !slices.Contains(info.Features, name) })
	if len(take) == 0 {
		return nil
	}
	all := slices.Compact(slices.Sorted(slices.Values(append(noted, take...))))
	if err := v.Images.SetMetadata(ctx, info.Spec, map[string]string{featuresKey: strings.Join(all, ",")}, nil); err != nil {
		return err
	}
	return v.Images.SetFeatures(ctx, info.Spec, rbd.FeatureOptions{Disable: take})
}
