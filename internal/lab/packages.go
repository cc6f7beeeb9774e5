package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"rbdctl/internal/fault"
)

// systemPath is where the distribution's packages put programs. The caller's
// PATH is not used: an ordinary user's lacks the sbin directories, and a
// developer's may have another Python first, which the ceph command cannot use.
const systemPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// requirement is a file that a lab needs, and Debian's package that has it.
type requirement struct {
	file, pkg string // a program's name, or a path pattern
}

func cephNeeds() []requirement {
	return []requirement{
		{"ceph-mon", "ceph-mon"},
		{"ceph-mgr", "ceph-mgr"},
		{"ceph-osd", "ceph-osd"},
		{"monmaptool", "ceph-base"},
		{"ceph", "ceph-common"},
		{"/usr/share/ceph/mgr/pg_autoscaler", "ceph-mgr-modules-core"},
	}
}

func libvirtNeeds() []requirement {
	return []requirement{
		{"libvirtd", "libvirt-daemon"},
		{"virsh", "libvirt-clients"},
		{"qemu-system-x86_64", "qemu-system-x86"},
		{"/usr/lib/*/libvirt/connection-driver/libvirt_driver_qemu.so", "libvirt-daemon-driver-qemu"},
		{"/usr/lib/*/libvirt/connection-driver/libvirt_driver_secret.so", secretDriverPackage()},
		{"/usr/lib/*/qemu/block-rbd.so", "qemu-block-extra"},
	}
}

// secretDriverPackage is what has libvirt's driver for secrets: Debian 13 took it
// out of libvirt-daemon.
func secretDriverPackage() string {
	var release int
	text, err := os.ReadFile("/etc/debian_version")
	if err == nil {
		_, err = fmt.Sscanf(string(text), "%d.", &release) // Debian testing has no number
	}
	if err == nil && release < 13 {
		return "libvirt-daemon"
	}
	return "libvirt-daemon-driver-secret"
}

// checkPackages names, in one error, every package that is missing.
func checkPackages(needs []requirement) error {
	var missing []string
	for _, n := range needs {
		if !present(n.file) && !slices.Contains(missing, n.pkg) {
			missing = append(missing, n.pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	return fault.Newf(fault.ErrUnsupported,
		"programs of the lab are missing: apt-get install --no-install-recommends %s", strings.Join(missing, " "))
}

func present(file string) bool {
	if strings.HasPrefix(file, "/") {
		found, err := filepath.Glob(file)
		return err == nil && len(found) > 0
	}
	_, err := lookPath(file)
	return err == nil
}

// lookPath finds a program in systemPath.
func lookPath(name string) (string, error) {
	for _, dir := range filepath.SplitList(systemPath) {
		path := filepath.Join(dir, name)
		if info, err := os.Stat(path); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return path, nil
		}
	}
	return "", fault.Newf(fault.ErrUnsupported, "no program %s in %s", name, systemPath)
}
