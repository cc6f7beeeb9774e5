package main

import (
	"slices"
	"strings"

	"github.com/urfave/cli/v2"
)

// flagText is a flag in words.
type flagText struct {
	names     string // "--output FORM, -o FORM"
	text      string // what it does
	byDefault string // what it is without; may be empty
	variables []string
}

func newFlagText(f cli.Flag) flagText {
	doc, ok := f.(cli.DocGenerationFlag)
	if !ok {
		return flagText{names: spellNames(f, "")}
	}
	text := flagText{text: doc.GetUsage(), variables: doc.GetEnvVars()}
	value := ""
	if doc.TakesValue() {
		value, text.text = placeholder(doc.GetUsage())
		text.byDefault = defaultOf(doc)
	}
	text.names = spellNames(f, value)
	return text
}

// placeholder finds the word in backquotes that stands for the flag's value, and
// takes the quotes away.
func placeholder(usage string) (value, text string) {
	before, rest, _ := strings.Cut(usage, "`")
	value, after, ok := strings.Cut(rest, "`")
	if !ok {
		return "VALUE", usage
	}
	return value, before + value + after
}

// defaultOf is the default of a flag, unless that is nothing: then the flag's text
// says what happens without.
func defaultOf(f cli.DocGenerationFlag) string {
	text := strings.Trim(f.GetDefaultText(), `"`)
	if slices.Contains([]string{"0", "0s", "[]", "false"}, text) {
		return ""
	}
	return text
}

func spellNames(f cli.Flag, value string) string {
	var names []string
	for _, name := range f.Names() {
		name = dashes(name) + name
		if value != "" {
			name += " " + value
		}
		names = append(names, name)
	}
	return strings.Join(names, ", ")
}

func dashes(name string) string {
	if len(name) == 1 {
		return "-"
	}
	return "--"
}

// sentence is all that is said of the flag.
func (f flagText) sentence() string {
	text := f.text
	if f.byDefault != "" {
		text += " (default: " + f.byDefault + ")"
	}
	for _, v := range f.variables {
		text += " [$" + v + "]"
	}
	return text
}
