package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"
	"libvirt.org/go/libvirt"

	"rbdctl/internal/lab/labtest"
	"rbdctl/libvirtsecret"
)

// secretLab is a cluster with one entity, one libvirt, and what they are called.
type secretLab struct {
	conf, uri, entity, pool string
	libvirt                 *libvirt.Connect
}

func newSecretLab(t *testing.T) *secretLab {
	t.Helper()
	l := &secretLab{
		conf: labtest.Conf(t), uri: labtest.LibvirtURI(t), pool: labtest.Pool(t),
		entity: "client.secret-" + uuid.NewString()[:8],
	}
	l.issue(t)
	conn, err := libvirt.NewConnect(l.uri)
	if err != nil {
		t.Fatal(err)
	}
	l.libvirt = conn
	t.Cleanup(func() {
		labtest.Ceph(t, "auth", "rm", l.entity)
		l.forget(t)
		_, _ = conn.Close()
	})
	return l
}

// forget removes what the test registered.
func (l *secretLab) forget(t *testing.T) {
	t.Helper()
	left, err := l.libvirt.LookupSecretByUsage(libvirt.SECRET_USAGE_TYPE_CEPH, libvirtsecret.UsageFor(l.fsid(t), l.entity))
	if err != nil {
		return // the test removed it, or registered none
	}
	if err := left.Undefine(); err != nil {
		t.Error(err)
	}
	_ = left.Free()
}

// issue gives the entity a key, which may write to the pool.
func (l *secretLab) issue(t *testing.T) {
	t.Helper()
	labtest.Ceph(t, "auth", "get-or-create", l.entity, "mon", "profile rbd", "osd", "profile rbd pool="+l.pool)
}

// anyKey finds what looks like a cephx key.
var anyKey = regexp.MustCompile(`A[Qg][A-Za-z0-9+/]{34,}=`)

// run runs a command below secret, on the lab, and returns what it printed and
// its exit status. None may print a key.
func (l *secretLab) run(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	return l.runOn(t, l.conf, args...)
}

func (l *secretLab) runOn(t *testing.T, conf string, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	t.Setenv("RBDCTL_LIBVIRT_URI", l.uri)
	var out, errOut bytes.Buffer
	e := newEnv(strings.NewReader(""), &out, &errOut)
	app := newApp(e)
	group := secretCommand(e)
	prepare(e, "rbdctl "+group.Name, group)
	app.Commands = []*cli.Command{group}
	if err := app.RunContext(t.Context(), append([]string{"rbdctl", "--ceph-conf", conf, "secret"}, args...)); err != nil {
		status = e.fail(err)
	}
	if anyKey.Match(out.Bytes()) || anyKey.Match(errOut.Bytes()) {
		t.Errorf("secret %s printed a key", args[0])
	}
	return out.String(), errOut.String(), status
}

// mustSecret runs a command that succeeds, with JSON output, and decodes it.
func mustSecret[T any](t *testing.T, l *secretLab, args ...string) (v T) {
	t.Helper()
	args = append([]string{args[0], "--output", "json"}, args[1:]...)
	out, errOut, status := l.run(t, args...)
	if status != 0 {
		t.Fatalf("secret %s: status %d: %s", args[0], status, errOut)
	}
	if err := json.Unmarshal([]byte(out), &v); err != nil {
		t.Fatalf("secret %s: %v in %s", args[0], err, out)
	}
	return v
}

// confWith is the lab's ceph.conf with lines for the clients added at its end,
// where they win.
func (l *secretLab) confWith(t *testing.T, lines ...string) string {
	t.Helper()
	text, err := os.ReadFile(l.conf)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "ceph.conf")
	text = append(text, "\n[client]\n"+strings.Join(lines, "\n")+"\n"...)
	if err := os.WriteFile(path, text, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// keyringFile is the entity's keyring file.
func (l *secretLab) keyringFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keyring")
	if err := os.WriteFile(path, labtest.Ceph(t, "auth", "get", l.entity), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// define makes a secret as another tool would, and removes it after the test.
func (l *secretLab) define(t *testing.T, id, usage string, value []byte) {
	t.Helper()
	s, err := l.libvirt.SecretDefineXML(fmt.Sprintf(
		"<secret><uuid>%s</uuid><usage type='ceph'><name>%s</name></usage></secret>", id, usage), 0)
	if err != nil {
		t.Fatal(err)
	}
	if value != nil {
		if err := s.SetValue(value, 0); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = s.Undefine(); _ = s.Free() })
}

func (l *secretLab) fsid(t *testing.T) string {
	t.Helper()
	return strings.TrimSpace(string(labtest.Ceph(t, "fsid")))
}

// guestXML is a guest, named after the entity, whose disk is the entity's image.
func (l *secretLab) guestXML(t *testing.T, secretUUID string) string {
	t.Helper()
	var dump struct {
		Mons []struct {
			PublicAddrs struct {
				AddrVec []struct{ Type, Addr string } `json:"addrvec"`
			} `json:"public_addrs"`
		}
	}
	if err := json.Unmarshal(labtest.Ceph(t, "mon", "dump", "--format", "json"), &dump); err != nil {
		t.Fatal(err)
	}
	var hosts strings.Builder
	for _, mon := range dump.Mons {
		for _, addr := range mon.PublicAddrs.AddrVec {
			host, port, err := net.SplitHostPort(addr.Addr)
			if err == nil && addr.Type == "v1" {
				fmt.Fprintf(&hosts, "<host name='%s' port='%s'/>", host, port)
			}
		}
	}
	return `<domain type='qemu'><name>` + l.entity + `</name><memory>65536</memory>
		<os><type>hvm</type></os><devices><disk type='network' device='disk'><driver name='qemu' type='raw'/>
		<auth username='` + strings.TrimPrefix(l.entity, "client.") + `'><secret type='ceph' uuid='` + secretUUID + `'/></auth>
		<source protocol='rbd' name='` + l.pool + `/` + l.entity + `'>` + hosts.String() + `</source>
		<target dev='vda' bus='virtio'/></disk></devices></domain>`
}
