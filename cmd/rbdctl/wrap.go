package main

import (
	"strings"
	"unicode/utf8"
)

// helpWidth is the width of what is shown to a person.
const helpWidth = 80

// wrapWords breaks text into lines of at most width characters, where that can be
// done between words.
func wrapWords(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && utf8.RuneCountInString(line)+1+utf8.RuneCountInString(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	if line != "" {
		lines = append(lines, line)
	}
	return lines
}

// paragraph is a part of a command's description.
type paragraph struct {
	text     string
	verbatim bool // indented lines: a table or an example
}

// paragraphs cuts a description: empty lines end a paragraph, and so does the
// change between indented lines and others.
func paragraphs(description string) []paragraph {
	var all []paragraph
	open := false
	for line := range strings.SplitSeq(description, "\n") {
		verbatim := strings.HasPrefix(line, " ")
		switch {
		case line == "":
			open = false
			continue
		case open && all[len(all)-1].verbatim == verbatim:
			last := &all[len(all)-1]
			last.text += "\n" + line
		default:
			all = append(all, paragraph{text: line, verbatim: verbatim})
		}
		open = true
	}
	return all
}
