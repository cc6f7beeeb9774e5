package main

import (
	"context"
	"errors"
	"io/fs"
	"os"

	"rbdctl/internal/fault"
	"rbdctl/keyring"
	"rbdctl/rbd"
)

// secretKeys returns the cluster's fsid and the keys of the entities: from the
// monitors, or from a keyring file.
func secretKeys(ctx context.Context, e *env, opts secretRegisterOptions) (fsid string, entries keyring.Keyring, err error) {
	if opts.keyringFile != "" {
		return keysOfFile(ctx, e, opts)
	}
	for _, entity := range opts.entities {
		if entity.Protected() {
			return "", nil, fault.Newf(fault.ErrInvalid, "%s is the cluster's own: its key is not for guests", entity)
		}
	}
	cluster, err := e.cluster(ctx)
	if err != nil {
		return "", nil, err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	if fsid, err = cluster.FSID(ctx); err != nil {
		return "", nil, err
	}
	entries, err = keyring.Read(ctx, cluster, opts.entities...)
	return fsid, entries, err
}

// keysOfFile learns the fsid by connecting as the first of the entities in the
// file, so that a file of another cluster is noticed before anything is stored.
func keysOfFile(ctx context.Context, e *env, opts secretRegisterOptions) (string, keyring.Keyring, error) {
	entries, err := readKeyring(opts.keyringFile)
	if err != nil {
		return "", nil, err
	}
	for _, entity := range opts.entities {
		entry, found := entries.Find(entity)
		if !found || entry.Key.IsZero() {
			continue
		}
		if entity.Protected() {
			return "", nil, fault.Newf(fault.ErrInvalid, "%s is the cluster's own: its key is not for guests", entity)
		}
		fsid, err := fsidAs(ctx, e, entry)
		return fsid, entries, err
	}
	return "", nil, fault.Newf(fault.ErrNotFound, "keyring %s has no key of %s", opts.keyringFile, opts.entities[0])
}

func readKeyring(path string) (keyring.Keyring, error) {
	file, err := os.Open(path)
	if err != nil {
		kind := fault.ErrInvalid
		switch {
		case errors.Is(err, fs.ErrNotExist):
			kind = fault.ErrNotFound
		case errors.Is(err, fs.ErrPermission):
			kind = fault.ErrDenied
		}
		return nil, &fault.Error{Op: "read keyring", Kind: kind, Err: err}
	}
	defer file.Close()
	entries, err := keyring.Parse(file)
	if err != nil {
		return nil, &fault.Error{Op: "read keyring", Subject: path, Kind: fault.ErrInvalid, Err: err}
	}
	return entries, nil
}

func fsidAs(ctx context.Context, e *env, entry keyring.Entry) (fsid string, err error) {
	key := entry.Key.Reveal() //nolint:forbidigo // to librados, within this process
	defer clear(key)
	cluster, err := rbd.Dial(ctx, rbd.Config{ConfFile: e.confFile, Entity: entry.Entity.String(), Key: key})
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, cluster.Close()) }()
	return cluster.FSID(ctx)
}
