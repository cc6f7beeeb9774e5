package keyring

import (
	"slices"
	"strings"
)

// profiles returns the profiles that the daemons of a kind know, in the order
// in which an error lists them. The monitors take a misspelt one at the mon and
// the osd without a word, and the entity then can do nothing.
func profiles(daemon string) []string {
	switch daemon {
	case "mon":
		return []string{
			"rbd", "rbd-mirror", "rbd-mirror-peer", "simple-rados-client", "simple-rados-client-with-blocklist",
			"fs-client", "cephfs-mirror", "crash", "role-definer", "read-only", "read-write", "mon", "osd", "mds", "mgr",
			"bootstrap-osd", "bootstrap-mds", "bootstrap-mgr", "bootstrap-rgw", "bootstrap-rbd", "bootstrap-rbd-mirror",
		}
	case "mgr":
		return []string{"rbd", "rbd-read-only", "crash", "osd", "mds", "rgw", "read-only", "read-write"}
	case "osd":
		return []string{"rbd", "rbd-read-only", "read-only", "read-write"}
	}
	return nil
}

// knownProfile returns an error of kind ErrInvalid when c names a profile that
// its daemon does not know.
func knownProfile(c Cap) error {
	if c.Grant.kind != kindProfile || slices.Contains(profiles(c.Daemon), c.Grant.name) {
		return nil
	}
	return invalidf("%s cap %q: unknown profile %q: want one of %s",
		c.Daemon, c.Grant, clip(c.Grant.name), strings.Join(profiles(c.Daemon), ", "))
}
