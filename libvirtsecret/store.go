package libvirtsecret

import (
	"context"
	"errors"
	"net/url"
	"sort"
	"time"

	"github.com/google/uuid"
	"libvirt.org/go/libvirt"

	"rbdctl/internal/fault"
)

// Store is the secrets of one libvirt: a node's, in most cases. It is safe for
// concurrent use.
type Store struct {
	name  string // the URI without a password
	conn  *libvirt.Connect
	calls *calls
}

// Dial connects to the libvirt at uri, such as "qemu:///system" or
// "qemu+ssh://root@compute1/system". The caller closes the store.
//
// It answers when ctx ends, or within 30 seconds. ErrUnavailable: no daemon
// answers; ErrDenied: it refuses us; ErrUnsupported: this machine has no libvirt
// library; ErrInvalid: no URI that libvirt knows, or a transport that is not
// encrypted, because keys would cross it in the clear.
//
// No keepalive is set, because libvirt answers it from an event loop of which a
// process can have only one: the bound on each call notices a dead peer.
//
// Similar To: virsh --connect <uri>
func Dial(ctx context.Context, uri string) (*Store, error) {
	parsed, err := url.Parse(uri)
	if err != nil || parsed.Scheme == "" {
		return nil, wrap("connect to libvirt", "", fault.Newf(ErrInvalid, "%q is no libvirt uri: want one such as qemu:///system", uri))
	}
	s := &Store{name: parsed.Redacted(), calls: newCalls()}
	ctx, cancel := bounded(ctx)
	defer cancel()
	s.conn, err = do(ctx, s.calls, func() (*libvirt.Connect, error) { return open(uri) }, disconnect)
	if errors.Is(err, ErrOutcomeUnknown) {
		err = ended(ctx, ErrUnavailable)
	}
	if err != nil {
		return nil, wrap("connect to libvirt", s.name, err)
	}
	return s, nil
}

// open connects, and goes away again from a peer that would send keys in clear.
func open(uri string) (*libvirt.Connect, error) {
	conn, err := libvirt.NewConnect(uri)
	if err != nil {
		return nil, plain(err)
	}
	secure, err := conn.IsSecure()
	if err == nil && !secure {
		err = fault.Newf(ErrInvalid, "the transport is not encrypted and a key sent over it is public: use qemu+tls, qemu+ssh, or qemu:///system on the node itself")
	}
	if err != nil {
		disconnect(conn)
		return nil, err
	}
	return conn, nil
}

// disconnect drops a connection of which nothing more is wanted.
func disconnect(conn *libvirt.Connect) { _, _ = conn.Close() }

// URI is where the store is, without a password.
func (s *Store) URI() string { return s.name }

// Close ends the connection once the calls in flight, let go or not, have come
// back. It waits at most 5 seconds for that, then returns ErrUnavailable and
// leaves the rest to happen by itself. A second call does nothing.
func (s *Store) Close() error {
	if !s.calls.shut() {
		return nil
	}
	done := make(chan error, 1)
	go func() {
		s.calls.running.Wait()
		_, err := s.conn.Close()
		done <- err
	}()
	limit := time.NewTimer(closeLimit)
	defer limit.Stop()
	select {
	case err := <-done:
		return wrap("disconnect from libvirt", s.name, err)
	case <-limit.C:
		return wrap("disconnect from libvirt", s.name, fault.New(ErrUnavailable, "a call has not come back"))
	}
}

// Info is a secret and what it holds.
type Info struct {
	Secret
	Value       ValueState `json:"value"`
	Fingerprint string     `json:"fingerprint,omitempty"` // of the key, for ValueKey only
}

// List returns the secrets of usage type "ceph", ordered by usage name.
//
// Similar To: virsh secret-list
func (s *Store) List(ctx context.Context) ([]Info, error) {
	return look(ctx, s, "list", "secrets", func(ctx context.Context, conn *libvirt.Connect) ([]Info, error) {
		all, err := conn.ListAllSecrets(0)
		if err != nil {
			return nil, err
		}
		defer func() {
			for i := range all {
				_ = all[i].Free()
			}
		}()
		infos := make([]Info, 0, len(all))
		for i := range all {
			info, isCeph, err := inspect(&all[i])
			if isNoSecret(err) || err == nil && !isCeph {
				continue // gone meanwhile, or a disk's passphrase and none of our business
			}
			if err != nil {
				return nil, err
			}
			infos = append(infos, info)
			if ctx.Err() != nil {
				return nil, ended(ctx, ErrUnavailable)
			}
		}
		sort.Slice(infos, func(i, j int) bool { return infos[i].Usage < infos[j].Usage })
		return infos, nil
	})
}

func inspect(native *libvirt.Secret) (info Info, isCeph bool, err error) {
	secret, usageType, err := describe(native)
	if err != nil || usageType != usageCeph {
		return Info{}, false, err
	}
	raw, state, err := readValue(native, secret)
	defer wipe(raw)
	info = Info{Secret: secret, Value: state}
	if state == ValueKey {
		info.Fingerprint = fingerprint(raw)
	}
	return info, true, err
}

// describe reads the definition of a secret.
func describe(native *libvirt.Secret) (s Secret, usageType string, err error) {
	doc, err := native.GetXMLDesc(0)
	if err != nil {
		return Secret{}, "", err
	}
	return parseXML(doc)
}

// find looks ref up as a UUID if it is one, else as a usage name of type "ceph".
// It returns nil and no error when there is no such secret. The caller frees it.
func find(conn *libvirt.Connect, ref string) (*libvirt.Secret, error) {
	var native *libvirt.Secret
	var err error
	if id, bad := uuid.Parse(ref); bad == nil {
		native, err = conn.LookupSecretByUUIDString(id.String())
	} else {
		native, err = conn.LookupSecretByUsage(libvirt.SECRET_USAGE_TYPE_CEPH, ref)
	}
	if isNoSecret(err) {
		return nil, nil
	}
	return native, err
}

// free releases a handle; libvirt's only error is that there was none.
func free(native *libvirt.Secret) {
	if native != nil {
		_ = native.Free()
	}
}
