package main

import (
	"io"
	"slices"
	"strings"
)

// row is a line of a table and the lines that stand below it, indented: what is
// too wide, or too many, for a column.
type row struct {
	cells []any
	below []string
}

// rowsText is a table of rows.
func (e *env) rowsText(header []any, rows []row) string {
	var text strings.Builder
	t := e.table(header...)
	t.SetOutputMirror(nil)
	for _, r := range rows {
		t.AppendRow(r.cells)
	}
	for i, line := range strings.Split(t.Render(), "\n") {
		text.WriteString(line + "\n")
		if i == 0 {
			continue // the header
		}
		for _, below := range rows[i-1].below {
			text.WriteString("  " + below + "\n")
		}
	}
	return text.String()
}

// onNodeRow is a row of what a command found or did at one libvirt.
type onNodeRow struct {
	uri string
	row
}

// printNodes prints a table, or one for each libvirt below its URI if the command
// was about several. Without rows it prints nothing.
func (e *env) printNodes(several bool, header []any, rows []onNodeRow) error {
	var text strings.Builder
	for len(rows) > 0 {
		uri := rows[0].uri
		n := slices.IndexFunc(rows, func(r onNodeRow) bool { return r.uri != uri })
		if n < 0 || !several {
			n = len(rows)
		}
		if several {
			if text.Len() > 0 {
				text.WriteString("\n")
			}
			text.WriteString(uri + "\n")
		}
		table := make([]row, n)
		for i := range table {
			table[i] = rows[i].row
		}
		text.WriteString(e.rowsText(header, table))
		rows = rows[n:]
	}
	_, err := io.WriteString(e.out, text.String())
	return err
}
