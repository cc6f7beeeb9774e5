package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
	"rbdctl/keyring"
	"rbdctl/rbd"
)

func keyringExportCommand(e *env) *cli.Command {
	var opts keyringExportOptions
	return &cli.Command{
		Name:      "export",
		Usage:     "write the keyring file of a service's entity",
		ArgsUsage: "ENTITY",
		Description: "Writes DIR/ceph.ENTITY.keyring with mode 0640, for the user and group of the\n" +
			"service, in one step that a crash can't leave half done. A file that is as wanted\n" +
			"is left alone. The key is never printed; its fingerprint is.\n" +
			"Exit status is 3 if the entity or the user does not exist, 6 if the file system\n" +
			"refuses, 8 if this host's librados may not be able to use the key.",
		Flags: append(opts.flags(),
			&cli.StringFlag{Name: "dir", Value: "/etc/ceph", Destination: &opts.dir, Usage: "write to directory `DIR`"},
			&cli.StringFlag{Name: "out", Destination: &opts.out, Usage: "write to `FILE` instead"},
			&cli.StringFlag{Name: "owner", Destination: &opts.owner, Usage: "give the file to `USER` (default: the service's: glance, cinder, nova; for client.rbdctl root)"},
			&cli.StringFlag{Name: "group", Destination: &opts.group, Usage: "let `GROUP` read the file (default: named as the user)"},
			&cli.BoolFlag{Name: "allow-aes256k", Destination: &opts.allowNewKey, Usage: "write a key of type aes256k although this host's librados is not known to use it"},
		),
		Action: func(c *cli.Context) error {
			if err := operands(c, "ENTITY"); err != nil {
				return err
			}
			if opts.out != "" && c.IsSet("dir") {
				return fault.Newf(errUsage, "--out and --dir: want one of them")
			}
			entity, err := keyring.ParseEntity(c.Args().First())
			if err != nil {
				return err
			}
			chosen, err := opts.desired(entity)
			if err != nil {
				return err
			}
			opts.params = chosen[0]
			return runKeyringExport(c.Context, e, opts)
		},
	}
}

type keyringExportOptions struct {
	layoutOptions
	params       keyring.Params
	dir, out     string
	owner, group string // names; empty: the service's
	allowNewKey  bool
}

// path is where the file goes. A keyring on standard output would end in logs
// and in files that everybody reads.
func (o keyringExportOptions) path() (string, error) {
	switch o.out {
	case "":
		return filepath.Join(o.dir, "ceph."+o.params.Entity.String()+".keyring"), nil
	case "-", "/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2":
		return "", fault.Newf(errUsage, "--out %s: a keyring is never printed: name a file", o.out)
	}
	return o.out, nil
}

// fileOwner finds the numbers of who gets the file. It completes the names in o.
func (o *keyringExportOptions) fileOwner() (keyring.Owner, error) {
	o.owner = cmp.Or(o.owner, o.params.User)
	o.group = cmp.Or(o.group, o.owner)
	owner, err := keyring.LookupOwner(o.owner, o.group)
	if errors.Is(err, fault.ErrNotFound) {
		err = fault.Newf(fault.ErrNotFound, "%s: %v: name who is to own the file with --owner and --group", o.params.Entity, err)
	}
	return owner, err
}

// exported is what export prints.
type exported struct {
	Path        string          `json:"path"`
	Mode        string          `json:"mode"` // octal
	Owner       string          `json:"owner"`
	Group       string          `json:"group"`
	Entity      keyring.Entity  `json:"entity"`
	KeyType     keyring.KeyType `json:"key_type"`
	Fingerprint string          `json:"fingerprint"`
	Changed     bool            `json:"changed"`
}

func runKeyringExport(ctx context.Context, e *env, opts keyringExportOptions) error {
	path, err := opts.path()
	if err != nil {
		return err
	}
	owner, err := opts.fileOwner()
	if err != nil {
		return err
	}
	entry, err := entryToExport(ctx, e, opts)
	if err != nil {
		return err
	}
	file, err := keyring.WriteFile(path, keyring.Keyring{entry}.Bare(), owner)
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (to give a file to %s:%s one has to be root, or they)", err, opts.owner, opts.group)
	}
	if err != nil {
		return err
	}
	if file.Exposed != 0 {
		e.warnf("%s had mode %04o before: others may have read the key, or replaced it", file.Path, file.Exposed)
	}
	return e.printExported(exported{
		Path: file.Path, Mode: fmt.Sprintf("%04o", file.Mode), Owner: opts.owner, Group: opts.group, Entity: entry.Entity,
		KeyType: entry.Key.Type(), Fingerprint: entry.Key.Fingerprint(), Changed: file.Changed,
	})
}

// entryToExport asks the monitors for the key, and makes sure that it can be used.
func entryToExport(ctx context.Context, e *env, opts keyringExportOptions) (keyring.Entry, error) {
	ctx, cancel := e.bounded(ctx)
	defer cancel()
	cluster, err := e.cluster(ctx)
	if err != nil {
		return keyring.Entry{}, err
	}
	defer cluster.Close()
	entity := opts.params.Entity
	found, err := keyring.Read(ctx, cluster, entity)
	if err != nil {
		return keyring.Entry{}, err
	}
	entry, ok := found.Find(entity)
	switch {
	case !ok:
		return entry, fault.Newf(fault.ErrNotFound, "%s does not exist: make it with rbdctl keyring issue %s", entity, entity)
	case entry.Key.IsZero():
		return entry, fault.Newf(fault.ErrUnsupported, "the key of %s is of a type that rbdctl does not know", entity)
	case entry.Key.Type() == keyring.AES256K && !opts.allowNewKey:
		return entry, refuseNewKey(ctx, cluster, entity)
	}
	return entry, nil
}

// refuseNewKey refuses a key of the new type unless this host's librados can use
// such keys, of which the one proof is that this connection does.
func refuseNewKey(ctx context.Context, cluster *rbd.Cluster, entity keyring.Entity) error {
	self, err := keyring.ParseEntity(cluster.Entity())
	if err != nil {
		return err
	}
	own, err := keyring.Read(ctx, cluster, self)
	if err != nil {
		return err
	}
	if entry, _ := own.Find(self); entry.Key.Type() == keyring.AES256K {
		return nil
	}
	return fault.Newf(fault.ErrUnsupported, "the key of %s is of type aes256k, which a librados before Ceph 19.2.6 and 20.2.4 can't use: "+
		"where the service has a newer one, say --allow-aes256k", entity)
}

func (e *env) printExported(x exported) error {
	if e.output == "json" {
		return e.printJSON(x)
	}
	result := "as wanted"
	if x.Changed {
		result = "written"
	}
	_, err := fmt.Fprintf(e.out, "%s\n  %s: mode %s, owner %s:%s, %s key %s\n",
		x.Path, result, x.Mode, x.Owner, x.Group, x.KeyType, x.Fingerprint)
	return err
}
