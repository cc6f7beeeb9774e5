package keyring

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"rbdctl/internal/fault"
)

// monitor takes a command of the monitors as JSON and gives back their answer,
// which belongs to the caller: keys in it are cleared after use. An error has
// one of the kinds of fault. A connection with administrative caps fits.
type monitor interface {
	MonCommand(ctx context.Context, cmd []byte) ([]byte, error)
}

// command is a command of the monitors. A key is never part of one.
type command struct {
	Prefix  string   `json:"prefix"`
	Format  string   `json:"format"`
	Entity  string   `json:"entity,omitempty"`
	Caps    []string `json:"caps,omitempty"` // daemon and text in turn
	KeyType string   `json:"key_type,omitempty"`
}

// run sends cmd and clears the answer, which may hold keys, once read has it.
// read may be nil. An error of read never gets out: it could repeat what it saw.
func run(ctx context.Context, m monitor, cmd command, read func(answer []byte) error) error {
	cmd.Format = "json"
	text, err := json.Marshal(cmd)
	if err != nil {
		return err
	}
	answer, err := m.MonCommand(ctx, text)
	defer clear(answer)
	if err != nil {
		return err
	}
	if read == nil {
		return nil
	}
	if read(answer) != nil {
		return fmt.Errorf("%s: the monitors' answer is not understood", cmd.Prefix)
	}
	return nil
}

// dbEntry is an entity as the monitors print it.
type dbEntry struct {
	Entity string            `json:"entity"`
	Key    dbKey             `json:"key"`
	Caps   map[string]string `json:"caps"`
}

// dbKey reads a key straight from the answer. A key that is not understood, of a
// type to come, is no key: that matters only when it is to be used.
type dbKey struct{ key Key }

func (k *dbKey) UnmarshalText(text []byte) error {
	k.key, _ = ParseKey(text)
	return nil
}

func (e dbEntry) entry() Entry {
	return Entry{Entity: foreignEntity(e.Entity), Key: e.Key.key, Caps: foreignCaps(e.Caps)}
}

// Read returns the entries of the given entities as the monitors have them,
// sorted by name; those that don't exist are left out. Without entities it
// returns all, the cluster's own included. Caps that are not understood are
// kept as they stand.
//
// Similar To: ceph auth get <entity>, ceph auth ls.
func Read(ctx context.Context, m monitor, entities ...Entity) (Keyring, error) {
	var k Keyring
	if len(entities) == 0 {
		err := run(ctx, m, command{Prefix: "auth ls"}, func(answer []byte) error {
			var dump struct {
				Entries []dbEntry `json:"auth_dump"`
			}
			err := json.Unmarshal(answer, &dump)
			for _, e := range dump.Entries {
				k = append(k, e.entry())
			}
			return err
		})
		return k.sorted(), err
	}
	for _, e := range entities {
		err := run(ctx, m, command{Prefix: "auth get", Entity: e.String()}, func(answer []byte) error {
			var dump []dbEntry
			err := json.Unmarshal(answer, &dump)
			for _, e := range dump {
				k = append(k, e.entry())
			}
			return err
		})
		if err != nil && !errors.Is(err, fault.ErrNotFound) {
			return nil, err
		}
	}
	return k.sorted(), nil
}

// missingPools returns the pools that caps name and the cluster has not.
func missingPools(ctx context.Context, m monitor, caps Caps) ([]string, error) {
	var have []string
	err := run(ctx, m, command{Prefix: "osd pool ls"}, func(answer []byte) error {
		return json.Unmarshal(answer, &have)
	})
	if err != nil {
		return nil, err
	}
	var missing []string
	for _, c := range caps {
		if pool := c.Grant.pool(); pool != "" && !slices.Contains(have, pool) && !slices.Contains(missing, pool) {
			missing = append(missing, pool)
		}
	}
	return missing, nil
}

// hasKeyTypes reports whether the monitors can be asked for a key of a type:
// whether their command to make one has an argument for it.
func hasKeyTypes(ctx context.Context, m monitor) (bool, error) {
	found := false
	err := run(ctx, m, command{Prefix: "get_command_descriptions"}, func(answer []byte) error {
		var commands map[string]struct {
			Sig []json.RawMessage `json:"sig"`
		}
		if err := json.Unmarshal(answer, &commands); err != nil {
			return err
		}
		for _, c := range commands {
			words, args := signature(c.Sig)
			if slices.Equal(words, []string{"auth", "get-or-create"}) {
				found = slices.Contains(args, "key_type")
			}
		}
		return nil
	})
	return found, err
}

// signature splits a command's signature into its words and the names of its
// arguments.
func signature(sig []json.RawMessage) (words, args []string) {
	for _, part := range sig {
		var word string
		var arg struct {
			Name string `json:"name"`
		}
		if json.Unmarshal(part, &word) == nil {
			words = append(words, word)
		} else if json.Unmarshal(part, &arg) == nil {
			args = append(args, arg.Name)
		}
	}
	return words, args
}
