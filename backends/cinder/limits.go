package cinder

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// SetQoS gives a volume the limits of spec, and no other; QoS tells what spec may
// hold. A guest that uses the volume is held to them at once. They are read back:
// success means that they are there.
// See: cinder/volume/drivers/rbd.py, _setup_volume and retype.
//
// Similar To: rbd config image set <volume> rbd_qos_iops_limit <n>
func (v Volumes) SetQoS(ctx context.Context, id string, spec map[string]string) error {
	return v.setQoS(ctx, id, spec, "")
}

// setQoS is SetQoS that also removes the key stray from the metadata, if it is there.
func (v Volumes) setQoS(ctx context.Context, id string, spec map[string]string, stray string) error {
	limits, err := QoS(spec)
	if err != nil {
		return err
	}
	image, err := v.volume(id)
	if err != nil {
		return err
	}
	have, err := v.Images.Metadata(ctx, image)
	if err != nil {
		return err
	}
	set := map[string]string{}
	for name, limit := range limits {
		if key := metadataPrefix + name; have[key] != limit {
			set[key] = limit
		}
	}
	var drop []string
	for name := range limitsOf(have) {
		if _, wanted := limits[name]; !wanted {
			drop = append(drop, metadataPrefix+name)
		}
	}
	if _, there := have[stray]; there {
		drop = append(drop, stray)
	}
	if len(set)+len(drop) == 0 {
		return nil
	}
	slices.Sort(drop)
	if err := v.Images.SetMetadata(ctx, image, set, drop); err != nil {
		return err
	}
	if have, err = v.Images.Metadata(ctx, image); err != nil {
		return err
	}
	if got := limitsOf(have); !maps.Equal(got, limits) {
		return fmt.Errorf("volume %s has the limits %v after %v were set: somebody else sets them, too", id, got, limits)
	}
	return nil
}

// limitsOf are the limits that an image's metadata sets.
func limitsOf(metadata map[string]string) map[string]string {
	limits := map[string]string{}
	for key, value := range metadata {
		if name, ok := strings.CutPrefix(key, metadataPrefix); ok && strings.HasPrefix(name, qosPrefix) {
			limits[name] = value
		}
	}
	return limits
}
