package libvirtsecret

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
)

func TestRemove(t *testing.T) {
	store := dial(t, testURI(t))
	for name, ref := range map[string]func(Secret) string{
		"by uuid":            func(s Secret) string { return s.UUID },
		"by upper-case uuid": func(s Secret) string { return strings.ToUpper(s.UUID) },
		"by usage":           func(s Secret) string { return s.Usage },
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t, store)
			register(t, store, s, keyA, outcome{ActionCreated, true})
			got, err := store.Remove(t.Context(), ref(s), RemoveOptions{})
			if got != s || err != nil {
				t.Fatalf("Remove = %+v, %v, want %+v", got, err, s)
			}
			if _, err := store.Remove(t.Context(), ref(s), RemoveOptions{}); !errors.Is(err, ErrNotFound) {
				t.Errorf("second Remove = %v, want %v", err, ErrNotFound)
			}
		})
	}
}

// The secret of a disk's passphrase is none of ours.
func TestRemoveOtherType(t *testing.T) {
	store := dial(t, testURI(t))
	id := uuid.NewString()
	native, err := store.conn.SecretDefineXML("<secret><uuid>"+id+"</uuid><usage type='volume'><volume>/"+id+"</volume></usage></secret>", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = native.Undefine(); free(native) })
	if _, err := store.Remove(t.Context(), id, RemoveOptions{Force: true}); !errors.Is(err, ErrInvalid) {
		t.Errorf("Remove = %v, want %v", err, ErrInvalid)
	}
	if left, err := find(store.conn, id); left == nil || err != nil {
		t.Errorf("the passphrase is gone: %v", err)
	} else {
		free(left)
	}
}

// A secret that a guest or a libvirt storage pool needs stays, and the message
// says who needs it.
func TestRemoveInUse(t *testing.T) {
	store := dial(t, testURI(t))
	for _, tt := range []struct {
		name   string
		attach func(t *testing.T, s Secret) (user string)
	}{
		{"domain, by uuid", func(t *testing.T, s Secret) string {
			return "domain " + defineDomain(t, store, fmt.Sprintf("uuid='%s'", s.UUID))
		}},
		{"domain, by usage", func(t *testing.T, s Secret) string {
			return "domain " + defineDomain(t, store, fmt.Sprintf("usage='%s'", s.Usage))
		}},
		{"storage pool", func(t *testing.T, s Secret) string {
			return "storage pool " + defineStoragePool(t, store, s.UUID)
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := fresh(t, store)
			register(t, store, s, keyA, outcome{ActionCreated, true})
			user := tt.attach(t, s)

			users, err := store.Users(t.Context(), s.UUID)
			if err != nil || len(users) != 1 || users[0] != user {
				t.Errorf("Users = %q, %v, want %q", users, err, user)
			}
			_, err = store.Remove(t.Context(), s.UUID, RemoveOptions{})
			if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), user) {
				t.Errorf("Remove = %v, want %v naming %s", err, ErrInUse, user)
			}
			wantValue(t, store, s.UUID, keyA)

			if _, err := store.Remove(t.Context(), s.UUID, RemoveOptions{Force: true}); err != nil {
				t.Errorf("forced Remove = %v", err)
			}
			if left, err := find(store.conn, s.UUID); left != nil || err != nil {
				t.Errorf("after forced Remove: %v, %v", left, err)
			}
		})
	}
}

func defineDomain(t *testing.T, store *Store, secretAttr string) (name string) {
	t.Helper()
	name = "guest-" + uuid.NewString()[:8]
	domain, err := store.conn.DomainDefineXML(`<domain type='qemu'><name>` + name + `</name><memory>65536</memory>
		<os><type>hvm</type></os><devices><disk type='network' device='disk'><driver name='qemu' type='raw'/>
		<source protocol='rbd' name='vms/x'><host name='127.0.0.1' port='1'/>
		<auth username='cinder'><secret type='ceph' ` + secretAttr + `/></auth></source>
		<target dev='vda' bus='virtio'/></disk></devices></domain>`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = domain.Undefine(); _ = domain.Free() })
	return name
}

func defineStoragePool(t *testing.T, store *Store, secretUUID string) (name string) {
	t.Helper()
	name = "pool-" + uuid.NewString()[:8]
	pool, err := store.conn.StoragePoolDefineXML(`<pool type='rbd'><name>`+name+`</name>
		<source><name>volumes</name><host name='127.0.0.1' port='1'/>
		<auth type='ceph' username='cinder'><secret uuid='`+secretUUID+`'/></auth></source></pool>`, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = pool.Undefine(); _ = pool.Free() })
	return name
}
