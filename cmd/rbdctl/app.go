package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/fault"
)

const programName = "rbdctl"

// version is set by the linker: -X main.version=…
var version = "development"

// run is the program without the process: it returns the exit status.
func run(ctx context.Context, args []string, in io.Reader, out, errOut io.Writer) int {
	e := newEnv(in, out, errOut)
	app := newApp(e)
	if len(args) > 1 && args[1] == completeCommand {
		return e.complete(app, args[2:])
	}
	args = helpLast(app, args)
	err := app.RunContext(ctx, permute(app, args))
	if err == nil {
		return 0
	}
	if asksJSON(args) {
		e.output = "json" // the error may have come before the flag was read
	}
	err = ownStatus(app, args, err)
	if stop := signalOf(ctx); stop != nil {
		err = endedBy(stop, err)
	}
	return e.fail(err)
}

// newApp is the tree of commands, spelled out.
func newApp(e *env) *cli.App {
	app := &cli.App{
		Name:  programName,
		Usage: "join a Ceph cluster to OpenStack's Glance, Cinder and Nova",
		Description: "Each command is a short-lived client of the cluster and tells more with --help.\n" +
			"Options may stand before the command or behind its name. The result goes to\n" +
			"standard output, all else to standard error.",
		Version: version,
		Flags:   e.globalFlags(true),
		Commands: []*cli.Command{
			planCommand(e),
			applyCommand(e),
			statusCommand(e),
			poolsCommand(e),
			keyringCommand(e),
			secretCommand(e),
			imageCommand(e),
			volumeCommand(e),
			diskCommand(e),
			serveCommand(e),
			trashCommand(e),
			jobsCommand(e),
			fsckCommand(e),
			labCommand(e),
			completionCommand(e),
			manualCommand(e),
		},
		Reader:                    e.in,
		Writer:                    e.out,
		ErrWriter:                 e.err,
		HideHelpCommand:           true,
		DisableSliceFlagSeparator: true, // caps contain commas
		OnUsageError:              usageError,
		ExitErrHandler:            func(*cli.Context, error) {}, // main exits, after every defer
		Action:                    needCommand,
	}
	for _, c := range app.Commands {
		prepare(e, app.Name+" "+c.Name, c)
	}
	app.CustomAppHelpTemplate = template(rootPage(app).String())
	return app
}

// prepare gives c and what is below it the settings that the library does not
// hand down, and its help. A command gets the global flags too, unless it has its
// own form.
func prepare(e *env, name string, c *cli.Command) {
	c.OnUsageError = usageError
	c.HideHelpCommand = true
	if len(c.Subcommands) == 0 {
		for _, global := range e.globalFlags(false) {
			if !slices.ContainsFunc(c.Flags, func(f cli.Flag) bool { return f.Names()[0] == global.Names()[0] }) {
				c.Flags = append(c.Flags, global)
			}
		}
	}
	for _, sub := range c.Subcommands {
		prepare(e, name+" "+sub.Name, sub)
	}
	c.CustomHelpTemplate = template(newPage(name, c).String())
	if len(c.Subcommands) == 0 {
		return
	}
	if c.Action == nil {
		c.Action = needCommand
	}
}

// errUsage is the kind of an error in the command line itself.
var errUsage = fault.ErrInvalid

// usageError replaces the library's own report, which goes to standard output.
func usageError(c *cli.Context, err error, _ bool) error {
	what := strings.TrimSuffix(err.Error(), ".")
	if name, ok := strings.CutPrefix(what, "flag provided but not defined: -"); ok {
		what = "unknown option " + dashes(name) + name
	}
	return fault.Newf(errUsage, "%s: see `%s --help`", what, c.Command.HelpName)
}

// needCommand is the action of a group: it was named without a command, or with
// one that does not exist.
func needCommand(c *cli.Context) error {
	if c.NArg() == 0 && len(c.Lineage()) <= 2 && c.Command.Name == c.App.Name {
		return cli.ShowAppHelp(c)
	}
	if c.NArg() == 0 {
		return cli.ShowSubcommandHelp(c)
	}
	var known []string
	for _, sub := range c.Command.Subcommands {
		known = append(known, sub.Name)
	}
	if len(known) == 0 {
		for _, sub := range c.App.VisibleCommands() {
			known = append(known, sub.Name)
		}
	}
	name := strings.TrimSpace(c.Command.HelpName)
	return fault.Newf(errUsage, "unknown command %q: %s has %s", c.Args().First(), name, strings.Join(known, ", "))
}

// operands demands exactly the operands that names lists. It also catches a
// flag after an operand, which the library takes for an operand.
func operands(c *cli.Context, names ...string) error {
	args := c.Args().Slice()
	for i, arg := range args {
		if i > 0 && strings.HasPrefix(arg, "-") && len(arg) > 1 {
			return fault.Newf(errUsage, "flag %s after operand %q: flags come before operands", arg, args[i-1])
		}
	}
	if len(args) == len(names) {
		return nil
	}
	want := "none"
	if len(names) > 0 {
		want = strings.Join(names, " ")
	}
	return fault.Newf(errUsage, "got %d operands, want %s: see `%s --help`", len(args), want, c.Command.HelpName)
}

// fail reports err in one line, unless it has nothing to say, and returns the exit
// status.
func (e *env) fail(err error) int {
	if err.Error() == "" {
		return exitStatus(err)
	}
	if e.output == "json" {
		e.printErrorJSON(err)
	} else {
		_, _ = fmt.Fprintf(e.err, "rbdctl: %s\n", oneLine(err))
	}
	return exitStatus(err)
}

// oneLine is the message of err without the newlines that errors.Join puts in.
func oneLine(err error) string {
	return strings.Join(strings.Fields(strings.ReplaceAll(err.Error(), "\n", "; ")), " ")
}

// defaultTimeout bounds a command that has nothing long to do.
const defaultTimeout = 2 * time.Minute
