package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"strings"

	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// tape is a cluster that remembers what was asked and answered.
type tape struct {
	cluster *rbd.Cluster
	entries []entry
}

// entry is one command and its answer, which is JSON, text or a failure.
type entry struct {
	Command json.RawMessage `json:"command"`
	Answer  json.RawMessage `json:"answer,omitempty"`
	Text    string          `json:"text,omitempty"`
	Error   *failure        `json:"error,omitempty"`
}

type failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// MonCommand asks the cluster and remembers.
func (t *tape) MonCommand(ctx context.Context, cmd []byte) ([]byte, error) {
	answer, err := t.cluster.MonCommand(ctx, cmd)
	e := entry{Command: json.RawMessage(cmd)}
	switch {
	case err != nil:
		e.Error = &failure{Kind: kindOf(err), Message: err.Error()}
	case json.Valid(answer):
		e.Answer = trim(cmd, answer)
	default:
		e.Text = string(answer)
	}
	t.entries = append(t.entries, e)
	return answer, err
}

// send performs a command for its effect; it is not remembered.
func (t *tape) send(ctx context.Context, prefix string, args map[string]any) error {
	full := map[string]any{"prefix": prefix}
	for k, v := range args {
		full[k] = v
	}
	cmd, err := json.Marshal(full)
	if err != nil {
		return err
	}
	_, err = t.cluster.MonCommand(ctx, cmd)
	return err
}

func kindOf(err error) string {
	for _, kind := range []error{
		fault.ErrOutcomeUnknown, fault.ErrInvalid, fault.ErrNotFound, fault.ErrExists,
		fault.ErrInUse, fault.ErrDenied, fault.ErrUnavailable, fault.ErrUnsupported,
	} {
		if errors.Is(err, kind) {
			return kind.Error()
		}
	}
	return ""
}

// trim keeps of the description of all commands what tests look at.
func trim(cmd, answer []byte) json.RawMessage {
	if !strings.Contains(string(cmd), `"get_command_descriptions"`) {
		return answer
	}
	var all, kept map[string]json.RawMessage
	if json.Unmarshal(answer, &all) != nil {
		return answer
	}
	kept = map[string]json.RawMessage{}
	for name, c := range all {
		if strings.Contains(string(c), `["osd","pool","create",`) || strings.Contains(string(c), `["osd","pool","autoscale-status"`) {
			kept[name] = c
		}
	}
	text, err := json.Marshal(kept)
	if err != nil {
		return answer
	}
	return text
}

// write stores the tape for tests to replay.
func (t *tape) write(path string) error {
	text, err := json.MarshalIndent(t.entries, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(path, append(text, '\n'), 0o644)
}
