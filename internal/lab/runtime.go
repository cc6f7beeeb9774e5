package lab

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"rbdctl/internal/fault"
)

// nobody is whom a root's libvirtd runs as: as root it would be the system's.
const nobody = 65534

// maxRuntimeDir bounds the length of the runtime directory. The longest socket
// below it is that of a guest agent, 85 bytes further down
// (v/libvirt/qemu/channel/target/domain-999-<20 bytes>/org.qemu.guest_agent.0),
// and the kernel takes 107.
const maxRuntimeDir = 22

// runtimeDir says where the sockets of a new lab go: into its directory if that
// is short and nobody can get there, else beside it, in /tmp.
func runtimeDir(o Options, id string) string {
	inside := filepath.Join(o.Dir, "run")
	if len(inside) <= maxRuntimeDir && (os.Geteuid() != 0 || traversable(o.Dir)) {
		return inside
	}
	return "/tmp/rbdctl-" + id[:8]
}

// traversable reports whether every user can pass through dir, as far as it
// exists; what is missing is going to be made with mode 0755.
func traversable(dir string) bool {
	for {
		info, err := os.Stat(dir)
		if err == nil && info.Mode().Perm()&0o001 == 0 {
			return false
		}
		if dir == "/" {
			return true
		}
		dir = filepath.Dir(dir)
	}
}

// makeRuntime makes the runtime directory, or sees that the one that is there is
// ours: others can write to /tmp too.
func (l *Lab) makeRuntime() error {
	dir := l.state.RuntimeDir
	err := os.Mkdir(dir, 0o755)
	if err == nil {
		return os.Chmod(dir, 0o755) // whatever the umask
	}
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	owner, mine := info.Sys().(*syscall.Stat_t).Uid, uint32(os.Geteuid())
	if !info.IsDir() || owner != mine {
		return fault.Newf(fault.ErrDenied,
			"%s is not a directory of uid %d: remove it and begin again", dir, mine)
	}
	return nil
}
