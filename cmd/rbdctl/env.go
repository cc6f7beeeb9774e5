package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/urfave/cli/v2"
	"golang.org/x/term"

	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

// env is what a command knows of the world: its streams and the global flags.
type env struct {
	in  io.Reader
	out io.Writer
	err io.Writer

	confFile string        // --ceph-conf; empty: where librados looks
	entity   string        // --entity
	timeout  time.Duration // --timeout: bound on a command that has nothing long to do
	output   string        // --output: table or json
}

// newEnv returns the world with every flag at its default.
func newEnv(in io.Reader, out, errOut io.Writer) *env {
	return &env{in: in, out: out, err: errOut, entity: "client.admin", timeout: defaultTimeout, output: "table"}
}

// globalFlags may stand before the command or after its name. Only those before
// it read the environment, so that a flag beats a variable wherever it stands.
func (e *env) globalFlags(beforeCommand bool) []cli.Flag {
	variable := func(name string) []string {
		if beforeCommand {
			return []string{name}
		}
		return nil
	}
	return []cli.Flag{
		&cli.StringFlag{
			Name: "ceph-conf", Category: globalCategory, EnvVars: variable("CEPH_CONF"),
			Usage:  "reach the cluster of this ceph.conf `FILE` (default: where librados looks)",
			Action: func(_ *cli.Context, v string) error { e.confFile = v; return nil },
		},
		&cli.StringFlag{
			Name: "entity", Category: globalCategory, EnvVars: variable("RBDCTL_ENTITY"),
			Usage:  "connect as the cephx `ENTITY` (default: client.admin)",
			Action: func(_ *cli.Context, v string) error { e.entity = v; return nil },
		},
		&cli.DurationFlag{
			Name: "timeout", Category: globalCategory, EnvVars: variable("RBDCTL_TIMEOUT"),
			Usage:  "give up after `DURATION` (default: 2m)",
			Action: e.setTimeout,
		},
		e.outputFlag(beforeCommand, "table", "json"),
	}
}

const globalCategory = "Global"

func (e *env) setTimeout(_ *cli.Context, d time.Duration) error {
	if d <= 0 {
		return fault.Newf(errUsage, "--timeout %s: want more than 0", d)
	}
	e.timeout = d
	return nil
}

// outputFlag chooses among forms; "table" is the default. A command with forms
// of its own names this flag among its flags.
func (e *env) outputFlag(beforeCommand bool, forms ...string) cli.Flag {
	f := &cli.StringFlag{
		Name: "output", Aliases: []string{"o"}, Category: globalCategory,
		Usage: "print the result as `FORM`: " + strings.Join(forms, ", "),
		Action: func(_ *cli.Context, form string) error {
			if !slices.Contains(forms, form) {
				return fault.Newf(errUsage, "--output %s: want one of %s", form, strings.Join(forms, ", "))
			}
			e.output = form
			return nil
		},
	}
	if beforeCommand {
		f.EnvVars = []string{"RBDCTL_OUTPUT"}
	}
	return f
}

// bounded is ctx with the command's time limit.
func (e *env) bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, e.timeout, fault.Newf(fault.ErrUnavailable, "no answer within %s", e.timeout))
}

// cluster connects as the entity of the flags. The caller closes it.
func (e *env) cluster(ctx context.Context) (*rbd.Cluster, error) {
	return rbd.Dial(ctx, rbd.Config{ConfFile: e.confFile, Entity: e.entity})
}

// printJSON writes one JSON document to standard output.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.out)
	enc.SetIndent("", "  ")
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// printErrorJSON writes the failure to standard error, as JSON.
func (e *env) printErrorJSON(err error) {
	message := oneLine(err)
	if message == "" {
		return
	}
	enc := json.NewEncoder(e.err)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(map[string]any{"error": map[string]any{"kind": kindWord(err), "message": message}})
}

// table returns a writer of a plain table to standard output: no borders, two
// spaces between columns, as ceph's own.
func (e *env) table(header ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(e.out)
	style := table.StyleDefault
	style.Options = table.OptionsNoBordersAndSeparators
	style.Box.PaddingLeft, style.Box.PaddingRight = "", "  "
	t.SetStyle(style)
	t.SuppressTrailingSpaces()
	if len(header) > 0 {
		t.AppendHeader(header)
	}
	return t
}

// notef tells the person at the terminal something that is not the result. With
// --output json it is JSON, one document in a line, as errors are.
func (e *env) notef(format string, args ...any) {
	e.tell("note", fmt.Sprintf(format, args...))
}

func (e *env) tell(kind, text string) {
	if e.output == "json" {
		enc := json.NewEncoder(e.err)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(map[string]string{kind: text})
		return
	}
	_, _ = io.WriteString(e.err, text+"\n")
}

// warnf is notef for whole sentences, which a terminal shows in lines that end
// with a word. Elsewhere a warning is one line, for grep.
func (e *env) warnf(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if e.output != "json" {
		text = "warning: " + text
		if interactive(e.err) {
			text = strings.Join(wrapWords(text, helpWidth-2), "\n  ")
		}
	}
	e.tell("warning", text)
}

// progressLog is where a package that tells its progress in lines may write.
func (e *env) progressLog() io.Writer {
	if e.output == "json" {
		return io.Discard
	}
	return e.err
}

// interactive tells whether f is a terminal: only there are colour, progress
// and questions.
func interactive(f any) bool {
	file, ok := f.(*os.File)
	return ok && term.IsTerminal(int(file.Fd()))
}
