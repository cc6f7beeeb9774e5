package lab_test

import (
	"encoding/base64"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

const secretUUID = "5b8f1c2e-7d1d-4c39-9d0a-6f1e2c3b4a59"

// virsh runs virsh on the lab's libvirtd.
func virsh(t *testing.T, l *lab.Lab, args ...string) string {
	t.Helper()
	return tool(t, l, "virsh", append([]string{"--quiet", "--connect", l.LibvirtURI()}, args...)...)
}

// scratch writes text to a file and returns its path.
func scratch(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// register stores the key of an entity as a libvirt secret.
func register(t *testing.T, l *lab.Lab, key string) {
	t.Helper()
	virsh(t, l, "secret-define", scratch(t, "secret.xml", fmt.Sprintf(
		"<secret ephemeral='no' private='no'><uuid>%s</uuid><usage type='ceph'><name>client.nova</name></usage></secret>", secretUUID)))
	virsh(t, l, "secret-set-value", secretUUID, "--plain", "--file", scratch(t, "key", key))
}

// checkGroups checks that a guest of a root's lab may use KVM where the system has
// a group for that, and that it has no other group of root's.
func checkGroups(t *testing.T, pid int) {
	t.Helper()
	if os.Geteuid() != 0 {
		return
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	want := ""
	if kvm, err := user.LookupGroup("kvm"); err == nil {
		want = kvm.Gid
	}
	_, rest, _ := strings.Cut(string(status), "\nGroups:")
	groups, _, _ := strings.Cut(rest, "\n")
	if got := strings.TrimSpace(groups); got != want {
		t.Errorf("the guest has the groups %q, want %q", got, want)
	}
}

// TestGuest boots a guest, of which only the firmware has anything to do, from an
// RBD image through a libvirt secret, and then takes the lab down under it.
func TestGuest(t *testing.T) {
	l := labtest.Lab(t, lab.Options{})
	id := identityOf(t, l.Dir())
	tool(t, l, "ceph", "osd", "pool", "create", "vms", "1", "1")
	tool(t, l, "rbd", "pool", "init", "vms")
	tool(t, l, "rbd", "create", "--size", "8M", "vms/guest_disk")
	key := strings.TrimSpace(tool(t, l, "ceph", "auth", "get-or-create-key", "client.nova",
		"mon", "profile rbd", "osd", "profile rbd pool=vms"))
	plain, err := base64.StdEncoding.DecodeString(key)
	if err != nil {
		t.Fatal(err)
	}

	register(t, l, string(plain))
	if got := strings.TrimSpace(virsh(t, l, "secret-get-value", secretUUID)); got != key {
		t.Error("the secret's value is not the key that was set")
	}

	domain := fmt.Sprintf(`<domain type='qemu'>
  <name>instance-00000001</name>
  <memory unit='MiB'>64</memory>
  <os><type arch='x86_64' machine='pc'>hvm</type></os>
  <devices>
    <disk type='network' device='disk'>
      <driver name='qemu' type='raw'/>
      <source protocol='rbd' name='vms/guest_disk'>
        <host name='127.0.0.1' port='%d'/>
        <auth username='nova'><secret type='ceph' uuid='%s'/></auth>
      </source>
      <target dev='vda' bus='virtio'/>
    </disk>
    <serial type='file'><source path='%s'/></serial>
    <channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>
  </devices>
</domain>`, id.MonPorts[0], secretUUID, filepath.Join(id.RuntimeDir, "v", "console"))
	virsh(t, l, "create", scratch(t, "guest.xml", domain))
	if got := strings.TrimSpace(virsh(t, l, "domstate", "instance-00000001")); got != "running" {
		t.Errorf("the guest is %s", got)
	}
	if got := tool(t, l, "rbd", "status", "vms/guest_disk"); !strings.Contains(got, "watcher=127.0.0.1") {
		t.Errorf("the guest does not have its disk open: %s", got)
	}
	guest := 0
	report, err := lab.Status(t.Context(), l.Dir())
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range report.Parts {
		if p.Name == "guest" {
			guest = p.PID
		}
	}
	if guest == 0 {
		t.Errorf("no guest among the parts: %+v", report.Parts)
	}
	checkGroups(t, guest)
	begun := time.Now()
	down(t, lab.DownOptions{Dir: l.Dir()})
	t.Logf("down with a guest took %v", time.Since(begun))
	checkGone(t, l.Dir(), id)
}
