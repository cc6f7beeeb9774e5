package spec

import (
	"github.com/goccy/go-yaml/token"
)

// The parser takes time and memory that grow with the square of the nesting, so
// the nesting is bounded before it sees the file.
const (
	maxFlow   = 8  // brackets and braces that are open at a time
	maxColumn = 64 // of what a line begins with
)

// screen complains about tokens that have no place in an rbdctl.yaml, whatever
// they mean: YAML's ways to be brief or clever, and nesting without end. It stops
// at the first.
func (r *reader) screen(tokens token.Tokens) {
	flow, line, entries := 0, 0, 0
	for _, t := range tokens {
		if t.Position.Line != line {
			line, entries = t.Position.Line, 0
			if t.Position.Column > maxColumn {
				r.complainAt(t, "the line begins after column %d: nested too deep", maxColumn)
				return
			}
		}
		switch t.Type {
		case token.MappingStartType, token.SequenceStartType:
			flow++
		case token.MappingEndType, token.SequenceEndType:
			flow--
		case token.SequenceEntryType:
			entries++
		}
		if flow > maxFlow || entries > 1 {
			r.complainAt(t, "nested too deep")
			return
		}
		if word, ok := clever(t.Type); ok {
			r.complainAt(t, "%s %s: not understood here, write the value itself", word, quote(t.Value))
			return
		}
	}
}

// clever names the tokens that this file does without.
func clever(t token.Type) (string, bool) {
	switch t {
	case token.AnchorType:
		return "anchor", true
	case token.AliasType:
		return "alias", true
	case token.MergeKeyType:
		return "merge key", true
	case token.TagType:
		return "tag", true
	case token.MappingKeyType:
		return "complex key", true
	case token.DirectiveType:
		return "directive", true
	}
	return "", false
}
