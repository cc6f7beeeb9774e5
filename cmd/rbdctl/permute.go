package main

import (
	"os"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// interspersed are the commands whose flags may follow their operand, since
// scripts write `rbdctl image import FILE --id UUID`. Elsewhere a flag after an
// operand is refused (see operands): the library would take it for an operand.
var interspersed = []string{"image import"} //nolint:gochecknoglobals // a constant list

// permute puts the flags of an interspersed command before its operands.
func permute(app *cli.App, args []string) []string {
	commands, flags := app.Commands, app.Flags
	var path []string
	for i := 1; i < len(args); i++ {
		if takesNext(flags, args[i]) {
			i++
			continue
		}
		if strings.HasPrefix(args[i], "-") {
			continue
		}
		at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[i]) })
		if at < 0 {
			return args
		}
		path = append(path, args[i])
		flags, commands = commands[at].Flags, commands[at].Subcommands
		if slices.Contains(interspersed, strings.Join(path, " ")) {
			return append(slices.Clone(args[:i+1]), flagsFirst(flags, args[i+1:])...)
		}
	}
	return args
}

// helpLast turns `rbdctl help pools init` and `rbdctl pools help init` into
// `rbdctl pools init --help`.
func helpLast(app *cli.App, args []string) []string {
	commands := app.Commands
	for i := 1; i < len(args) && len(commands) > 0; i++ {
		if args[i] == "help" {
			return append(slices.Delete(slices.Clone(args), i, i+1), "--help")
		}
		at := slices.IndexFunc(commands, func(c *cli.Command) bool { return c.HasName(args[i]) })
		if at < 0 {
			break
		}
		commands = commands[at].Subcommands
	}
	return args
}

// asksJSON tells whether --output json is among args, or in the environment.
func asksJSON(args []string) bool {
	asked := os.Getenv("RBDCTL_OUTPUT") == "json"
	for i, arg := range args {
		name, value, joined := strings.Cut(strings.TrimPrefix(arg, "-"), "=")
		if name != "-output" && name != "o" {
			continue
		}
		if !joined && i+1 < len(args) {
			value = args[i+1]
		}
		asked = value == "json"
	}
	return asked
}

// flagsFirst moves the operands behind the flags; after "--" all are operands.
func flagsFirst(flags []cli.Flag, args []string) []string {
	var front, operands []string
	for i := 0; i < len(args); i++ {
		switch arg := args[i]; {
		case arg == "--":
			operands = append(operands, args[i+1:]...)
			i = len(args)
		case !strings.HasPrefix(arg, "-") || arg == "-":
			operands = append(operands, arg)
		case takesNext(flags, arg) && i+1 < len(args):
			front = append(front, arg, args[i+1])
			i++
		default:
			front = append(front, arg)
		}
	}
	if len(operands) > 0 {
		front = append(front, "--")
	}
	return append(front, operands...)
}

// takesNext tells whether arg is a flag whose value is the next argument.
func takesNext(flags []cli.Flag, arg string) bool {
	name := strings.TrimLeft(arg, "-")
	if name == arg || name == "" || strings.Contains(name, "=") {
		return false
	}
	for _, f := range flags {
		if slices.Contains(f.Names(), name) {
			value, ok := f.(cli.DocGenerationFlag)
			return ok && value.TakesValue()
		}
	}
	return false
}
