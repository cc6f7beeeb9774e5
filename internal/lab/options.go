package lab

import (
	"io"
	"path/filepath"
	"strings"

	"rbdctl/internal/fault"
)

// Store is what OSDs keep their objects in.
type Store string

// The two stores. Memstore is faster and keeps nothing when its OSD is killed.
const (
	BlueStore Store = "bluestore" // a sparse file for each OSD
	MemStore  Store = "memstore"  // the OSD's memory
)

// Options says what a lab is to be. The zero value of every field but Dir means
// what the lab in Dir already has, or else the default.
type Options struct {
	Dir       string    // the lab's directory, made when absent; required
	OSDs      int       // 3 by default; a lab can grow but not shrink
	Store     Store     // BlueStore by default; fixed when the lab is made
	OSDSize   uint64    // bytes; size of an OSD's store, 8 GiB by default
	NoLibvirt bool      // leave libvirtd out; it is started otherwise
	FastMon   bool      // the monitor decides every 50 ms and not every second: for tests
	Log       io.Writer // progress, one line for each phase; nil for none
}

const (
	defaultOSDs    = 3
	maxOSDs        = 64
	defaultOSDSize = 8 << 30 // the file is filled from end to end before anything is used again
	minOSDSize     = 1 << 30
)

// withDefaults makes Dir absolute and Log writable by several at once. The other defaults depend on
// the lab that is there; see (*state).take.
func (o Options) withDefaults() (Options, error) {
	if o.Log == nil {
		o.Log = io.Discard
	}
	o.Log = &oneAtATime{w: o.Log}
	dir, err := cleanDir(o.Dir)
	o.Dir = dir
	return o, err
}

// validate returns the first complaint about o.
func (o Options) validate() error {
	switch {
	case o.OSDs < 0 || o.OSDs > maxOSDs:
		return fault.Newf(fault.ErrInvalid, "%d OSDs: want 1 to %d", o.OSDs, maxOSDs)
	case o.Store != "" && o.Store != BlueStore && o.Store != MemStore:
		return fault.Newf(fault.ErrInvalid, "store %q: want %s or %s", o.Store, BlueStore, MemStore)
	case o.OSDSize != 0 && o.OSDSize < minOSDSize:
		return fault.Newf(fault.ErrInvalid, "OSD size %d bytes: want at least %d", o.OSDSize, uint64(minOSDSize))
	}
	return nil
}

// dirRunes are the characters that mean themselves in ceph.conf (where $, # and
// ; do not), in its lists of keyrings (where blanks, commas and = do not), and in
// a libvirt URI.
const dirRunes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._@:~-"

// cleanDir returns dir as an absolute path without symbolic links, so that one
// lab has one name, and refuses what ceph.conf could not hold.
func cleanDir(dir string) (string, error) {
	if dir == "" {
		return "", fault.New(fault.ErrInvalid, "no directory for the lab: name one")
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	abs = resolve(abs)
	if i := strings.IndexFunc(abs, func(r rune) bool { return !strings.ContainsRune(dirRunes, r) }); i >= 0 {
		return "", fault.Newf(fault.ErrInvalid,
			"lab directory %q: ceph.conf cannot hold the character at byte %d: use letters, digits and /._@:~-", abs, i)
	}
	if abs == "/" {
		return "", fault.New(fault.ErrInvalid, "the root directory cannot be a lab")
	}
	return abs, nil
}

// resolve follows the symbolic links of the part of path that exists.
func resolve(path string) string {
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real
	}
	if parent := filepath.Dir(path); parent != path {
		return filepath.Join(resolve(parent), filepath.Base(path))
	}
	return path
}
