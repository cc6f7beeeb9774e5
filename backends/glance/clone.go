package glance

import (
	"rbdctl/backends"
	"rbdctl/rbd"
)

// CloneOf makes want a clone of the Glance image id, which must hold RAW
// content.
func CloneOf(want *rbd.Want, pool, id string) error {
	if err := backends.CheckID("image", id); err != nil {
		return err
	}
	parent := backends.GlanceImage(pool, id)
	want.Parent = &parent
	want.Protected = true // else an import is under way, or was cut off
	want.Check = func(head []byte) error { return CheckRaw(head, "image "+id) }
	return nil
}
