package spec

import (
	"math"
	"slices"
	"strings"
	"unicode"

	"github.com/docker/go-units"
	"github.com/goccy/go-yaml/ast"
)

// A value that is of the wrong sort is a complaint, and the function that asked
// for it returns false. YAML's ways to be brief or clever (anchors, aliases, merge
// keys, tags) are values of no sort here.

// field is one entry of a mapping: its name and what to do with its value.
type field struct {
	name string
	read func(ast.Node)
}

// mapping hands each value of n to the field of its name. what says where n is.
func (r *reader) mapping(n ast.Node, what string, fields ...field) {
	names := make([]string, 0, len(fields))
	for _, f := range fields {
		names = append(names, f.name)
	}
	r.each(n, what, func(key ast.Node, name string, value ast.Node) {
		i := slices.Index(names, name)
		if i < 0 {
			r.complain(key, "unknown field %s of %s: want one of %s", quote(name), what, strings.Join(names, ", "))
			return
		}
		if value.Type() != ast.NullType {
			fields[i].read(value)
		}
	})
}

// each calls fn for every entry of the mapping n.
func (r *reader) each(n ast.Node, what string, fn func(key ast.Node, name string, value ast.Node)) {
	var entries []*ast.MappingValueNode
	switch m := n.(type) {
	case *ast.MappingNode:
		entries = m.Values
	case *ast.MappingValueNode:
		entries = append(entries, m)
	default:
		r.complain(n, "%s is %s: want fields, \"name: value\"", what, found(n))
		return
	}
	seen := map[string]bool{}
	for _, entry := range entries {
		key, ok := entry.Key.(*ast.StringNode)
		switch {
		case !ok:
			r.complain(entry.Key, "%s is no name of a field", found(entry.Key))
			continue
		case seen[key.Value]:
			r.complain(key, "field %s of %s is there twice", quote(key.Value), what)
			continue
		}
		seen[key.Value] = true
		fn(key, key.Value, entry.Value)
	}
}

// text reads a string without blanks at its ends, and without control characters.
func (r *reader) text(n ast.Node, what string) (string, bool) {
	s, ok := n.(*ast.StringNode)
	switch {
	case !ok:
		r.complain(n, "%s is %s: want text, in quotes if it looks like something else", what, found(n))
	case s.Value == "":
		r.complain(n, "%s is empty: leave the field out for its default", what)
	case strings.TrimSpace(s.Value) != s.Value || strings.ContainsFunc(s.Value, unicode.IsControl):
		r.complain(n, "%s %s has blanks around it or control characters in it", what, quote(s.Value))
	default:
		return s.Value, true
	}
	return "", false
}

// texts reads a list of strings.
func (r *reader) texts(n ast.Node, what string) []string {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		r.complain(n, "%s is %s: want a list", what, found(n))
		return nil
	}
	var out []string
	for _, value := range list.Values {
		if s, ok := r.text(value, what); ok {
			out = append(out, s)
		}
	}
	return out
}

func (r *reader) boolean(n ast.Node, what string) bool {
	b, ok := n.(*ast.BoolNode)
	if !ok {
		r.complain(n, "%s is %s: want true or false", what, found(n))
		return false
	}
	return b.Value
}

// integer reads a whole number from low to high; 0 after a complaint.
func (r *reader) integer(n ast.Node, what string, low, high int) int {
	value, ok := whole(n)
	if !ok || value < int64(low) || value > int64(high) {
		r.complain(n, "%s is %s: want a whole number from %d to %d", what, found(n), low, high)
		return 0
	}
	return int(value)
}

// percent reads a number above 0 and up to 100; 0 after a complaint.
func (r *reader) percent(n ast.Node, what string) float64 {
	value := math.NaN()
	if i, ok := whole(n); ok {
		value = float64(i)
	} else if f, ok := n.(*ast.FloatNode); ok {
		value = f.Value
	}
	if !(value > 0 && value <= 100) { // NaN too
		r.complain(n, "%s is %s: want a percentage above 0, up to 100", what, found(n))
		return 0
	}
	return value
}

// size reads bytes: a number, or a text with K, M, G, T or P for powers of 1024.
func (r *reader) size(n ast.Node, what string) uint64 {
	bytes, ok := whole(n)
	if s, isText := n.(*ast.StringNode); isText {
		var err error
		bytes, err = units.RAMInBytes(s.Value)
		ok = err == nil
	}
	if !ok || bytes <= 0 {
		r.complain(n, "%s is %s: want a size from 1 byte to 2^63-1, such as 10T", what, found(n))
		return 0
	}
	return uint64(bytes)
}

// choose reads one of some words.
func choose[T ~string](r *reader, n ast.Node, what string, value *T, words ...T) {
	text, ok := r.text(n, what)
	if !ok {
		return
	}
	if slices.Contains(words, T(text)) {
		*value = T(text)
		return
	}
	var list []string
	for _, w := range words {
		list = append(list, string(w))
	}
	r.complain(n, "%s %s: want %s", what, quote(text), strings.Join(list, " or "))
}

// whole is the value of an integer that fits.
func whole(n ast.Node) (int64, bool) {
	i, ok := n.(*ast.IntegerNode)
	if !ok {
		return 0, false
	}
	switch v := i.Value.(type) {
	case int64:
		return v, true
	case uint64:
		return int64(v), v <= math.MaxInt64
	}
	return 0, false
}

// found is what n is, for a complaint.
func found(n ast.Node) string {
	switch n.(type) {
	case *ast.NullNode:
		return "nothing"
	case *ast.MappingNode, *ast.MappingValueNode:
		return "a mapping"
	case *ast.SequenceNode:
		return "a list"
	case *ast.LiteralNode:
		return "a block of text"
	}
	return quote(n.GetToken().Value)
}
