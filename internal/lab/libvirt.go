package lab

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const libvirtPart = "libvirtd"

// libvirtHome is where the lab's libvirtd has everything of its own.
func (s *state) libvirtHome() string { return filepath.Join(s.RuntimeDir, "v") }

func (s *state) libvirtSocket() string {
	return filepath.Join(s.libvirtHome(), "run", "libvirt", "libvirt-sock")
}

// LibvirtURI reaches the lab's libvirtd, with secrets and QEMU; "" if the lab
// has none. For libvirt it is a session of the user that the daemon runs as, and
// the socket is named, so that any user who may open it can connect.
func (l *Lab) LibvirtURI() string {
	if !l.state.Libvirt {
		return ""
	}
	return "qemu+unix:///session?socket=" + l.state.libvirtSocket()
}

// libvirtUser is whom libvirtd and its guests run as; nil is the caller.
func libvirtUser() *syscall.Credential {
	if os.Geteuid() != 0 {
		return nil
	}
	return &syscall.Credential{Uid: nobody, Gid: nobody, Groups: kvmGroup()}
}

// kvmGroup is the group that may use /dev/kvm, where the system has one.
func kvmGroup() []uint32 {
	group, err := user.LookupGroup("kvm")
	if err != nil {
		return nil
	}
	gid, err := strconv.ParseUint(group.Gid, 10, 32)
	if err != nil {
		return nil
	}
	return []uint32{uint32(gid)}
}

// startLibvirt brings libvirtd up.
func (l *Lab) startLibvirt(ctx context.Context) error {
	home := l.state.libvirtHome()
	return l.ensure(ctx, libvirtPart, func() (*daemon, error) {
		if err := l.writeLibvirtConf(); err != nil {
			return nil, err
		}
		return l.spawn(libvirtPart, libvirtUser(), []string{
			"HOME=" + home + "/home",
			"XDG_RUNTIME_DIR=" + home + "/run",
			"XDG_CONFIG_HOME=" + home,
			"XDG_CACHE_HOME=" + home + "/cache",
			"XDG_DATA_HOME=" + home + "/data",
		}, "libvirtd", "--config", home+"/libvirtd.conf", "--pid-file", home+"/libvirtd.pid")
	})
}

// libvirtUp asks for the list of guests: libvirtd listens before its drivers are
// up, and answers when they are.
func (l *Lab) libvirtUp(ctx context.Context) error {
	conn, err := net.DialTimeout("unix", l.state.libvirtSocket(), time.Second)
	if err != nil {
		return err
	}
	_ = conn.Close()
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	_, err = l.tool(ctx, "", "virsh", "--quiet", "--connect", l.LibvirtURI(), "list")
	return err
}

// writeLibvirtConf makes libvirtd's directories and configuration. The daemon
// owns them; nobody else but root gets in.
func (l *Lab) writeLibvirtConf() error {
	home := l.state.libvirtHome()
	dirs := []string{home, home + "/home", home + "/run", home + "/cache", home + "/data", home + "/libvirt"}
	for _, dir := range dirs {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	files := map[string]string{
		home + "/libvirtd.conf": fmt.Sprintf(`# who gets to the socket may do everything: its directory is the guard
auth_unix_rw = "none"
auth_unix_ro = "none"
host_uuid = "%s"
log_outputs = "3:stderr"
`, l.state.FSID),
		home + "/libvirt/qemu.conf": `# without virtlogd; without a security driver; without extended attributes
stdio_handler = "file"
security_driver = "none"
remember_owner = 0
`,
	}
	for path, text := range files {
		if err := writeFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	user := libvirtUser()
	if user == nil {
		return nil
	}
	for _, dir := range dirs {
		if err := os.Lchown(dir, int(user.Uid), int(user.Gid)); err != nil {
			return err
		}
	}
	return nil
}
