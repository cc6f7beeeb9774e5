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

// SetMultiattach makes a volume fit for several writers at a time, or for one again
// with the features that it had. Done already is success; so is a volume for one
// that never was for several. ErrInUse while a client has it open.
// See: cinder/volume/drivers/rbd.py, _enable_multiattach and _disable_multiattach.
//
// Similar To: rbd feature disable <volume> journaling fast-diff object-map exclusive-lock
func (v Volumes) SetMultiattach(ctx context.Context, id string, enabled bool) error {
	info, err := v.lookAt(ctx, id)
	if err != nil {
		return err
	}
	metadata, err := v.Images.Metadata(ctx, info.Spec)
	if err != nil {
		return err
	}
	noted := strings.FieldsFunc(metadata[featuresKey], func(r rune) bool { return r == ',' })
	if enabled {
		return v.severalWriters(ctx, info, noted)
	}
	if len(noted) == 0 {
		return nil
	}
	if err := v.Images.SetFeatures(ctx, info.Spec, rbd.FeatureOptions{Enable: noted}); err != nil {
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
