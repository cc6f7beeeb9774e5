package libvirtsecret

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"libvirt.org/go/libvirt"

	"rbdctl/internal/fault"
)

// RemoveOptions relaxes Remove. The zero value is the careful one.
type RemoveOptions struct {
	Force bool // remove although guests or storage pools refer to it
}

// Remove undefines the secret that ref, a UUID or a usage name, names, and
// returns what it was.
//
// ErrNotFound: there is none. ErrInvalid: it is not of usage type "ceph".
// ErrInUse: domains, running or defined, or storage pools of this libvirt refer
// to it; the message names them. libvirt itself would remove it all the same,
// and the guests would fail at their next start. A guest that is defined at the
// same moment is not noticed.
//
// Similar To: virsh secret-undefine <uuid>
func (s *Store) Remove(ctx context.Context, ref string, opts RemoveOptions) (Secret, error) {
	return change(ctx, s, "remove", "secret "+ref, func(ctx context.Context, conn *libvirt.Connect) (Secret, error) {
		native, secret, err := findCeph(conn, ref)
		if err != nil {
			return Secret{}, err
		}
		defer free(native)
		if !opts.Force {
			users, err := usersOf(ctx, conn, secret)
			if err != nil {
				return Secret{}, err
			}
			if len(users) > 0 {
				return Secret{}, fault.Newf(ErrInUse, "%s refer to it: remove them first, or force it", list(users))
			}
		}
		if ctx.Err() != nil {
			return Secret{}, ended(ctx, ErrOutcomeUnknown)
		}
		if err := native.Undefine(); err != nil {
			return Secret{}, err
		}
		if left, err := find(conn, secret.UUID); left != nil || err != nil {
			free(left)
			return Secret{}, errors.Join(err, fault.New(ErrOutcomeUnknown, "libvirt undefined it and still has it: run it again"))
		}
		return secret, nil
	})
}

// Users names the domains and storage pools that refer to the secret ref:
// "domain vm-1", "storage pool vms".
func (s *Store) Users(ctx context.Context, ref string) ([]string, error) {
	return look(ctx, s, "users of", "secret "+ref, func(ctx context.Context, conn *libvirt.Connect) ([]string, error) {
		native, secret, err := findCeph(conn, ref)
		if err != nil {
			return nil, err
		}
		defer free(native)
		return usersOf(ctx, conn, secret)
	})
}

// findCeph is find for a secret that must be there and ours to touch. The caller
// frees the handle.
func findCeph(conn *libvirt.Connect, ref string) (*libvirt.Secret, Secret, error) {
	native, err := find(conn, ref)
	if err != nil {
		return nil, Secret{}, err
	}
	if native == nil {
		return nil, Secret{}, fault.New(ErrNotFound, "no secret with this uuid or usage")
	}
	secret, usageType, err := describe(native)
	if err == nil && usageType != usageCeph {
		err = fault.Newf(ErrInvalid, "it is a secret of usage type %q, not ceph", usageType)
	}
	if err != nil {
		free(native)
		return nil, Secret{}, err
	}
	return native, secret, nil
}

func usersOf(ctx context.Context, conn *libvirt.Connect, s Secret) ([]string, error) {
	domains, err := domainsWith(ctx, conn, s)
	if isKind(err, ErrUnsupported) {
		return nil, fault.New(ErrUnsupported, "this uri shows no domains, so nobody can tell who uses the secret: connect to the hypervisor, such as qemu:///system, or force it")
	}
	if err != nil {
		return nil, err
	}
	pools, err := storagePoolsWith(ctx, conn, s)
	if isKind(err, ErrUnsupported) {
		return domains, nil // no storage driver, no libvirt storage pools
	}
	return append(domains, pools...), err
}

func domainsWith(ctx context.Context, conn *libvirt.Connect, s Secret) ([]string, error) {
	domains, err := conn.ListAllDomains(0)
	if err != nil {
		return nil, err
	}
	defer func() {
		for i := range domains {
			_ = domains[i].Free()
		}
	}()
	var users []string
	for i := range domains {
		uses, err := domainUses(&domains[i], s)
		if err != nil {
			return nil, err
		}
		if !uses {
			continue
		}
		name, err := domains[i].GetName()
		if err != nil {
			return nil, err
		}
		users = append(users, "domain "+name)
		if ctx.Err() != nil {
			return nil, ended(ctx, ErrUnavailable)
		}
	}
	return users, nil
}

// domainUses looks at the domain as it runs and as it will start next time: a
// disk may have been plugged in for one of them only.
func domainUses(domain *libvirt.Domain, s Secret) (bool, error) {
	for _, flags := range []libvirt.DomainXMLFlags{0, libvirt.DOMAIN_XML_INACTIVE} {
		doc, err := domain.GetXMLDesc(flags)
		if errors.Is(err, libvirt.ERR_NO_DOMAIN) {
			return false, nil // ended meanwhile
		}
		if err != nil {
			return false, err
		}
		if uses, err := refersTo(doc, s); uses || err != nil {
			return uses, err
		}
	}
	return false, nil
}

func storagePoolsWith(ctx context.Context, conn *libvirt.Connect, s Secret) ([]string, error) {
	pools, err := conn.ListAllStoragePools(0)
	if err != nil {
		return nil, err
	}
	defer func() {
		for i := range pools {
			_ = pools[i].Free()
		}
	}()
	var users []string
	for i := range pools {
		doc, err := pools[i].GetXMLDesc(0)
		if errors.Is(err, libvirt.ERR_NO_STORAGE_POOL) {
			continue // gone meanwhile
		}
		if err != nil {
			return nil, err
		}
		uses, err := refersTo(doc, s)
		if err != nil {
			return nil, err
		}
		if !uses {
			continue
		}
		name, err := pools[i].GetName()
		if err != nil {
			return nil, err
		}
		users = append(users, "storage pool "+name)
		if ctx.Err() != nil {
			return nil, ended(ctx, ErrUnavailable)
		}
	}
	return users, nil
}

// list names the first few of users.
func list(users []string) string {
	const shown = 10
	if len(users) > shown {
		return fmt.Sprintf("%s and %d more", strings.Join(users[:shown], ", "), len(users)-shown)
	}
	return strings.Join(users, ", ")
}
