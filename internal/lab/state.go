package lab

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"github.com/google/uuid"

	"rbdctl/internal/fault"
)

// state is what DIR/lab.json remembers. It is written before the first process
// starts and removed after the last one has ended.
type state struct {
	Version    int    `json:"version"`
	ID         string `json:"id"`   // the mark of the lab's processes
	FSID       string `json:"fsid"` // of the cluster
	OSDs       int    `json:"osds"`
	Store      Store  `json:"store"`
	OSDSize    uint64 `json:"osd_size"` // bytes
	Libvirt    bool   `json:"libvirt"`
	FastMon    bool   `json:"fast_mon"`
	MonPorts   [2]int `json:"mon_ports"`   // msgr v2, v1
	RuntimeDir string `json:"runtime_dir"` // of the sockets; DIR/run, or a short one outside DIR
}

const (
	stateVersion = 1
	stateFile    = "lab.json"
	lockFile     = ".lock"
)

// newState draws the identity of a lab that does not exist yet.
func newState(o Options) (*state, error) {
	var id [8]byte
	if _, err := rand.Read(id[:]); err != nil {
		return nil, err
	}
	s := &state{
		Version: stateVersion,
		ID:      hex.EncodeToString(id[:]),
		FSID:    uuid.NewString(),
		OSDs:    defaultOSDs,
		Store:   BlueStore,
		OSDSize: defaultOSDSize,
	}
	s.RuntimeDir = runtimeDir(o, s.ID)
	s.take(o)
	return s, nil
}

// refuses returns why a lab that exists cannot become what o says.
func (s *state) refuses(o Options) error {
	if o.Store != "" && o.Store != s.Store {
		return fault.Newf(fault.ErrInvalid,
			"the lab in %s is on %s, not %s: take it down first", o.Dir, s.Store, o.Store)
	}
	if o.OSDs != 0 && o.OSDs < s.OSDs {
		return fault.Newf(fault.ErrInvalid,
			"the lab in %s has %d OSDs, not %d, and labs do not shrink: take it down first", o.Dir, s.OSDs, o.OSDs)
	}
	return nil
}

// take makes the lab what o says, where o says something.
func (s *state) take(o Options) {
	if o.OSDs != 0 {
		s.OSDs = o.OSDs
	}
	if o.Store != "" {
		s.Store = o.Store
	}
	if o.OSDSize != 0 {
		s.OSDSize = o.OSDSize
	}
	s.Libvirt = s.Libvirt || !o.NoLibvirt
	s.FastMon = s.FastMon || o.FastMon
}

// load reads the state of the lab in dir. No lab there is fault.ErrNotFound.
func load(dir string) (*state, error) {
	path := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Newf(fault.ErrNotFound, "no lab in %s", dir)
	}
	if err != nil {
		return nil, err
	}
	s := &state{}
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if s.Version != stateVersion || s.ID == "" || s.RuntimeDir == "" {
		return nil, fault.Newf(fault.ErrUnsupported, "%s is of another version of rbdctl: use that one", path)
	}
	return s, nil
}

// save replaces lab.json in one step.
func (s *state) save(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, stateFile), append(text, '\n'), 0o644)
}

// writeFile replaces path by a file with text in one step, so that a reader
// sees the old text or the new one.
func writeFile(path string, text []byte, mode fs.FileMode) error {
	temp := path + ".tmp"
	if err := os.Remove(temp); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.WriteFile(temp, text, mode); err != nil {
		return err
	}
	return os.Rename(temp, path)
}

// mayTouch refuses the lab of another user: its processes would be invisible,
// so stopping them would look like success.
func mayTouch(dir string) error {
	info, err := os.Stat(filepath.Join(dir, stateFile))
	if err != nil {
		return nil // no lab, or load will say
	}
	owner := info.Sys().(*syscall.Stat_t).Uid
	if uid := os.Geteuid(); uid != 0 && uid != int(owner) {
		return fault.Newf(fault.ErrDenied, "the lab in %s belongs to uid %d: act as that user", dir, owner)
	}
	return nil
}
