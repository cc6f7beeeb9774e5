package main

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/google/uuid"
	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/keyring"
	"rbdctl/libvirtsecret"
)

// secretCommand is the group of commands about libvirt's secrets.
func secretCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:  "secret",
		Usage: "libvirt secrets: the keys with which guests reach their disks",
		Description: "A guest's disk names a libvirt secret by its UUID, and QEMU gets the cephx key\n" +
			"from there. Every node that a guest may run on needs the same secret.",
		Subcommands: []*cli.Command{
			secretRegisterCommand(e),
			secretLsCommand(e),
			secretVerifyCommand(e),
			secretRmCommand(e),
		},
	}
}

// The entities that guests reach their disks as: Cinder's for volumes, Nova's for
// its own disks.
const (
	entityCinder = "client.cinder"
	entityNova   = "client.nova"
)

// maxNodes bounds the libvirts that one command talks to at a time.
const maxNodes = 16

// uriFlag names the libvirts that a command is about.
func uriFlag() cli.Flag {
	return &cli.StringSliceFlag{
		Name: "uri", EnvVars: []string{"RBDCTL_LIBVIRT_URI"},
		Usage:       "connect to the libvirt at `URI`; may be repeated, once for each node",
		DefaultText: "qemu:///system",
	}
}

func urisOf(c *cli.Context) []string {
	if uris := c.StringSlice("uri"); len(uris) > 0 {
		return uris
	}
	return []string{"qemu:///system"}
}

// fsidFlag says which cluster's secrets are meant.
func fsidFlag(fsid *string) cli.Flag {
	return &cli.StringFlag{
		Name: "fsid", Usage: "the entity's secret for the cluster `UUID`, where there are several",
		Action: func(_ *cli.Context, text string) error {
			id, err := uuid.Parse(text)
			if err != nil {
				return fault.Newf(errUsage, "--fsid %q: want the UUID that `ceph fsid` prints", text)
			}
			*fsid = id.String()
			return nil
		},
	}
}

// entityOperands reads operands that are entities; without any it returns the
// given ones.
func entityOperands(c *cli.Context, byDefault ...string) ([]keyring.Entity, error) {
	names := c.Args().Slice()
	if err := operands(c, names...); err != nil { // finds flags among them
		return nil, err
	}
	if len(names) == 0 {
		names = byDefault
	}
	entities := make([]keyring.Entity, 0, len(names))
	for _, name := range names {
		entity, err := keyring.ParseEntity(name)
		if err != nil {
			return nil, err
		}
		entities = append(entities, entity)
	}
	return entities, nil
}

// onNodes runs fn on the libvirt of every URI, several at a time, and returns
// what it made in the order of the URIs. One node's failure stops no other: all
// failures are in the error.
func onNodes[T any](ctx context.Context, uris []string, fn func(context.Context, *libvirtsecret.Store) ([]T, error)) ([]T, error) {
	rows := make([][]T, len(uris))
	errs := make([]error, len(uris))
	slots := make(chan struct{}, maxNodes)
	var wg sync.WaitGroup
	for i, uri := range uris {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			rows[i], errs[i] = onNode(ctx, uri, fn)
		})
	}
	wg.Wait()
	var all []T
	for _, r := range rows {
		all = append(all, r...)
	}
	return all, errors.Join(errs...)
}

func onNode[T any](ctx context.Context, uri string, fn func(context.Context, *libvirtsecret.Store) ([]T, error)) (rows []T, err error) {
	store, err := libvirtsecret.Dial(ctx, uri)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	return fn(ctx, store)
}

// chooseSecret finds the secret that ref means among those of one libvirt: by
// UUID or usage name, or, for an entity, by the usage name that rbdctl gives its
// secret. An entity with secrets for two clusters needs the fsid. ErrNotFound if
// there is none.
func chooseSecret(secrets []libvirtsecret.Info, ref, fsid string) (libvirtsecret.Info, error) {
	var chosen []libvirtsecret.Info
	for _, s := range secrets {
		if strings.EqualFold(s.UUID, ref) || s.Usage == ref {
			return s, nil
		}
		cluster, entity, ok := libvirtsecret.ParseUsage(s.Usage)
		if ok && entity == ref && (fsid == "" || cluster == fsid) {
			chosen = append(chosen, s)
		}
	}
	switch len(chosen) {
	case 0:
		return libvirtsecret.Info{}, fault.Newf(fault.ErrNotFound, "no secret %q: `rbdctl secret ls` shows those that exist", ref)
	case 1:
		return chosen[0], nil
	}
	return libvirtsecret.Info{}, fault.Newf(fault.ErrInvalid,
		"%s has secrets for several clusters, %q and %q among them: choose one with --fsid", ref, chosen[0].Usage, chosen[1].Usage)
}
