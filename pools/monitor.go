package pools

import (
	"context"
	"encoding/json"
	"fmt"
)

// monitor is what pools needs of a cluster: JSON commands in, JSON out. An
// error carries its kind and the monitors' own sentence.
type monitor interface {
	MonCommand(ctx context.Context, cmd []byte) ([]byte, error)
}

// initialiser prepares a pool for RBD. It is idempotent, and waits until the
// pool can be written.
type initialiser interface {
	InitPool(ctx context.Context, pool string) error
}

// args are the arguments of one monitor command, by name.
type args map[string]any

// ask sends one command and decodes the answer into out.
func ask(ctx context.Context, mon monitor, prefix string, a args, out any) error {
	answer, err := mon.MonCommand(ctx, encode(prefix, a))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(answer, out); err != nil {
		return fmt.Errorf("ceph %s: the answer is not understood: %w", prefix, err)
	}
	return nil
}

// tell sends one command for its effect.
func tell(ctx context.Context, mon monitor, prefix string, a args) error {
	_, err := mon.MonCommand(ctx, encode(prefix, a))
	return err
}

// encode writes a command as the monitors want it; keys are sorted, so that
// equal commands are equal bytes.
func encode(prefix string, a args) []byte {
	full := args{"prefix": prefix, "format": "json"}
	for k, v := range a {
		full[k] = v
	}
	cmd, _ := json.Marshal(full) // strings, numbers and booleans: it can't fail
	return cmd
}
