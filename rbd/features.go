package rbd

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	librbd "github.com/ceph/go-ceph/rbd"

	"rbdctl/internal/fault"
)

// FeatureOptions say which features of an image are to be switched, by their names
// as `rbd info` writes them.
type FeatureOptions struct {
	Enable, Disable []string
}

// SetFeatures switches features of an image on and off. What is as it should be
// stays; all of it is read back. ErrInUse, and nothing changed, while a client has
// the image open; ErrInvalid for a name that is none, and for features that
// librbd cannot switch, or not without others.
//
// Similar To: rbd feature enable <spec> <feature>…; rbd feature disable <spec> <feature>…
func (m *Images) SetFeatures(ctx context.Context, spec ImageSpec, o FeatureOptions) error {
	on, err := FeatureBits(o.Enable)
	if err != nil {
		return wrap(opFeatures, spec.String(), err)
	}
	off, err := FeatureBits(o.Disable)
	if err == nil && on&off != 0 {
		err = fault.Newf(ErrInvalid, "to be switched both on and off: %s", names(on&off))
	}
	if err != nil {
		return wrap(opFeatures, spec.String(), err)
	}
	ctx, cancel := m.cluster.quick(ctx)
	defer cancel()
	_, err = change(ctx, m, deed{Op: opFeatures}, spec, func(s *scope, ioctx *ioContext) (struct{}, error) {
		return struct{}{}, s.setFeatures(ioctx, spec, on, off)
	})
	return err
}

func (s *scope) setFeatures(ioctx *ioContext, spec ImageSpec, on, off uint64) error {
	img, err := s.imageReadOnly(ioctx, spec.Image, librbd.NoSnapshot)
	if err != nil {
		return err
	}
	have, err := native(s, "rbd_get_features", img.GetFeatures)
	if err != nil || (on&^have == 0 && off&have == 0) {
		return err
	}
	if err := img.idle(); err != nil {
		return err
	}
	rw, err := s.image(ioctx, spec.Image)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		bits   uint64
		enable bool
	}{{off & have, false}, {on &^ have, true}} {
		if step.bits == 0 {
			continue
		}
		if err := run(s, "rbd_update_features", func() error { return rw.UpdateFeatures(step.bits, step.enable) }); err != nil {
			return err
		}
	}
	now, err := native(s, "rbd_get_features", rw.GetFeatures)
	if err == nil && (on&^now != 0 || off&now != 0) {
		err = fault.Newf(ErrUnavailable, "it has the features %s after they were switched: try again", names(now))
	}
	return err
}

// defaultFeatures are those that an image is born with: rbd_default_features, or, when that
// is 0, layering. librados has the names that ceph.conf may list as their sum.
// See: cinder/volume/drivers/rbd.py and nova/storage/rbd_utils.py, RADOSClient.features.
func (s *scope) defaultFeatures() (uint64, error) {
	text, err := native(s, "rados_conf_get", func() (string, error) { return s.conn().GetConfigOption("rbd_default_features") })
	if err != nil {
		return 0, fmt.Errorf("rbd_default_features: %w", err)
	}
	sum, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		return 0, fault.Newf(ErrInvalid, "rbd_default_features = %q in ceph.conf: want names or their sum", text)
	}
	return cmp.Or(sum, librbd.FeatureLayering), nil
}

// FeatureBits are librbd's bits of features, by their names. ErrInvalid for a name that
// is none.
func FeatureBits(features []string) (uint64, error) {
	for _, name := range features {
		if librbd.FeatureSetFromNames([]string{name}) == 0 {
			return 0, fault.Newf(ErrInvalid, "feature %q: there is none of this name", name)
		}
	}
	return uint64(librbd.FeatureSetFromNames(features)), nil
}

func names(bits uint64) string {
	set := librbd.FeatureSet(bits)
	list := set.Names()
	slices.Sort(list)
	return strings.Join(list, ", ")
}
