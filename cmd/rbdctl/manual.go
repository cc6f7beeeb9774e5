package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/urfave/cli/v2"

	"rbdctl/internal/spec"
)

func manualCommand(e *env) *cli.Command {
	return &cli.Command{
		Name:   "manual",
		Usage:  "print the manual page",
		Hidden: true, // for those who make packages
		Action: func(c *cli.Context) error {
			if err := operands(c); err != nil {
				return err
			}
			_, err := io.WriteString(e.out, manual(newApp(e)))
			return err
		},
	}
}

// manual is the page rbdctl(1), from the same words as --help.
func manual(app *cli.App) string {
	m := &roff{}
	root := rootPage(app)
	m.line(`.TH RBDCTL 1 "" "rbdctl ` + roffText(app.Version) + `" "User Commands"`)
	m.line(".nh\n.ad l") // names are not hyphenated
	m.section("NAME")
	m.line(app.Name + ` \- ` + roffText(app.Usage))
	m.section("SYNOPSIS")
	m.line(".B " + roffText(root.synopsis()))
	m.section("DESCRIPTION")
	m.description(root.description)
	m.section("GLOBAL OPTIONS")
	m.flags(append(slices.Clone(root.globals), root.flags...))
	m.section("COMMANDS")
	for _, p := range leaves(app) {
		m.line(".SS " + roffText(p.synopsis()))
		m.line(roffText(upperFirst(p.usage)) + ".")
		m.description(p.description)
		m.flags(p.flags)
	}
	m.section("EXIT STATUS")
	m.line("Those of plan and status have another meaning, told above.")
	for _, row := range statusRows() {
		m.item(row[0], row[1])
	}
	m.section("ENVIRONMENT")
	for _, row := range variables(root, leaves(app)) {
		m.item(row[0], row[1])
	}
	m.section("FILES")
	m.item("/etc/ceph/ceph.conf", "the cluster, unless --ceph-conf or CEPH_CONF names another file")
	m.item("/etc/ceph/ceph.ENTITY.keyring", "the key of --entity, where ceph.conf names no other; keyring export writes such files")
	m.item(spec.DefaultPath, "what plan, apply and status compare with; without it the standard integration is wanted")
	m.section("SEE ALSO")
	m.line(".BR ceph (8),\n.BR rbd (8),\n.BR virsh (1)")
	return m.String()
}

// leaves are the pages of all commands that are no groups, in their order.
func leaves(app *cli.App) []page {
	var all []page
	var walk func(name string, commands []*cli.Command)
	walk = func(name string, commands []*cli.Command) {
		for _, c := range commands {
			switch {
			case c.Hidden:
			case len(c.Subcommands) > 0:
				walk(name+" "+c.Name, c.Subcommands)
			default:
				all = append(all, newPage(name+" "+c.Name, c))
			}
		}
	}
	walk(app.Name, app.Commands)
	return all
}

// variables are the environment variables of all flags, and which flag each
// stands for.
func variables(root page, commands []page) [][2]string {
	var rows [][2]string
	flags := slices.Concat(root.globals, root.flags)
	for _, p := range commands {
		flags = append(flags, p.flags...)
	}
	for _, f := range flags {
		for _, v := range f.variables {
			if !slices.ContainsFunc(rows, func(r [2]string) bool { return r[0] == v }) {
				rows = append(rows, [2]string{v, "like " + strings.Split(f.names, ",")[0] + ", which comes first"})
			}
		}
	}
	return rows
}

func upperFirst(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// roff is a manual page being written.
type roff struct{ strings.Builder }

func (r *roff) line(text string) { r.WriteString(text + "\n") }

func (r *roff) section(name string) { r.line(".SH " + name) }

// item is a word and what it means, indented.
func (r *roff) item(word, meaning string) {
	r.line(".TP\n.B " + roffText(word))
	r.line(roffText(meaning))
}

func (r *roff) flags(flags []flagText) {
	for _, f := range flags {
		r.item(f.names, f.sentence())
	}
}

func (r *roff) description(text string) {
	for _, p := range paragraphs(text) {
		if p.verbatim {
			r.line(".PP\n.nf")
			for line := range strings.SplitSeq(p.text, "\n") {
				r.line(roffText(line))
			}
			r.line(".fi")
			continue
		}
		r.line(".PP")
		r.line(roffText(strings.Join(strings.Fields(p.text), " ")))
	}
}

// roffText writes text so that it is printed as it is.
func roffText(text string) string {
	var b strings.Builder
	for i, c := range text {
		switch {
		case i == 0 && (c == '.' || c == '\''):
			b.WriteString(`\&` + string(c))
		case c == '\\':
			b.WriteString(`\e`)
		case c == '-':
			b.WriteString(`\-`)
		case c == '"':
			b.WriteString(`\(dq`)
		case c > 126:
			fmt.Fprintf(&b, `\[u%04X]`, c)
		default:
			b.WriteRune(c)
		}
	}
	return b.String()
}
