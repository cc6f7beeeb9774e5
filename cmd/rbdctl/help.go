package main

import (
	"fmt"
	"strings"

	"github.com/urfave/cli/v2"
)

// page is what there is to say of a command, for --help and for the manual.
type page struct {
	name        string // "rbdctl pools init"
	usage       string // one line
	operands    string
	description string
	commands    []*cli.Command
	flags       []flagText // the command's own
	globals     []flagText
}

// newPage describes a command whose flags are complete.
func newPage(name string, c *cli.Command) page {
	p := page{name: name, usage: c.Usage, operands: c.ArgsUsage, description: c.Description}
	for _, sub := range c.Subcommands {
		if !sub.Hidden {
			p.commands = append(p.commands, sub)
		}
	}
	p.addFlags(c.Flags)
	return p
}

// rootPage describes the program.
func rootPage(app *cli.App) page {
	p := page{name: app.Name, usage: app.Usage, description: app.Description, commands: app.VisibleCommands()}
	p.addFlags(app.Flags)
	p.flags = append(p.flags, flagText{names: "--version, -v", text: "print the version"})
	return p
}

func (p *page) addFlags(flags []cli.Flag) {
	for _, f := range flags {
		category, _ := f.(cli.CategorizableFlag)
		if category != nil && category.GetCategory() == globalCategory {
			p.globals = append(p.globals, newFlagText(f))
		} else {
			p.flags = append(p.flags, newFlagText(f))
		}
	}
	p.flags = append(p.flags, flagText{names: "--help, -h", text: "show this help"})
}

// synopsis is how the command is called.
func (p page) synopsis() string {
	parts := []string{p.name}
	if len(p.commands) > 0 {
		parts = append(parts, "COMMAND")
	}
	parts = append(parts, "[OPTION...]")
	if p.operands != "" {
		parts = append(parts, p.operands)
	}
	return strings.Join(parts, " ")
}

// hasStatuses tells whether the description has its own table of exit statuses.
func (p page) hasStatuses() bool { return strings.Contains(p.description, "EXIT STATUS") }

// String is the text of --help.
func (p page) String() string {
	var b strings.Builder
	heading := func(name string) { fmt.Fprintf(&b, "\n%s:\n", name) }
	b.WriteString(strings.Join(wrapWords(p.name+": "+p.usage, helpWidth), "\n") + "\n")
	heading("USAGE")
	b.WriteString("   " + p.synopsis() + "\n")
	if p.description != "" {
		heading("DESCRIPTION")
		writeParagraphs(&b, p.description)
	}
	if len(p.commands) > 0 {
		heading("COMMANDS")
		var rows [][2]string
		for _, c := range p.commands {
			rows = append(rows, [2]string{c.Name, c.Usage})
		}
		writeColumns(&b, rows)
	}
	for _, part := range []struct {
		name  string
		flags []flagText
	}{{"OPTIONS", p.flags}, {"GLOBAL OPTIONS", p.globals}} {
		if len(part.flags) == 0 {
			continue
		}
		heading(part.name)
		var rows [][2]string
		for _, f := range part.flags {
			rows = append(rows, [2]string{f.names, f.sentence()})
		}
		writeColumns(&b, rows)
	}
	p.writeStatuses(&b)
	return b.String()
}

// writeStatuses ends the help: with the table, if it is the program's.
func (p page) writeStatuses(b *strings.Builder) {
	switch {
	case p.name == programName:
		b.WriteString("\nEXIT STATUS:\n")
		writeColumns(b, statusRows())
		b.WriteString("   Those of plan and status have another meaning: see their --help.\n")
	case len(p.commands) == 0 && !p.hasStatuses():
		fmt.Fprintf(b, "\nEXIT STATUS:\n   0 on success, else the kind of failure: see `%s --help`.\n", programName)
	}
}

func writeParagraphs(b *strings.Builder, description string) {
	for i, p := range paragraphs(description) {
		if i > 0 && !p.verbatim {
			b.WriteString("\n")
		}
		lines := strings.Split(p.text, "\n")
		if !p.verbatim {
			lines = wrapWords(p.text, helpWidth-3)
		}
		for _, line := range lines {
			b.WriteString("   " + line + "\n")
		}
	}
}

// columnLimit is the width of a first column; what is wider has a line of its own.
const columnLimit = 24

// writeColumns writes pairs, the second wrapped beside the first.
func writeColumns(b *strings.Builder, rows [][2]string) {
	const indent = "   "
	width := 0
	for _, r := range rows {
		if len(r[0]) <= columnLimit {
			width = max(width, len(r[0]))
		}
	}
	for _, r := range rows {
		first := r[0]
		if len(first) > width {
			b.WriteString(indent + first + "\n")
			first = ""
		}
		for _, line := range wrapWords(r[1], helpWidth-len(indent)-width-2) {
			fmt.Fprintf(b, "%s%-*s  %s\n", indent, width, first, line)
			first = ""
		}
	}
}

// template makes text safe as a template of the library, which prints help by one.
func template(text string) string {
	return strings.ReplaceAll(text, "{{", `{{"{{"}}`)
}
