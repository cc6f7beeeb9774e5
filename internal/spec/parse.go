package spec

import (
	"bytes"
	"errors"
	"unicode/utf8"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/lexer"
	"github.com/goccy/go-yaml/parser"

	"rbdctl/internal/fault"
)

// Parse reads the text of an rbdctl.yaml; name is the file's, for complaints.
//
// An error is of kind ErrInvalid and one line long; it joins all complaints, each
// as "FILE:LINE:COLUMN: what is wrong (line: "its text")". A mistake in the YAML
// itself hides what comes after it.
func Parse(name string, data []byte) (Spec, error) {
	if len(data) > maxBytes {
		return Spec{}, fault.Newf(fault.ErrInvalid, "%s: more than %d bytes: this is no rbdctl.yaml", name, maxBytes)
	}
	if !utf8.Valid(data) {
		return Spec{}, fault.Newf(fault.ErrInvalid, "%s: not UTF-8 text", name)
	}
	data = bytes.TrimPrefix(data, []byte("\ufeff")) // some editors begin files with it
	r := newReader(name, data)
	root, err := r.document(data)
	if err != nil {
		return Spec{}, err
	}
	s := r.spec(root)
	if err := r.err(); err != nil {
		return Spec{}, err
	}
	return s, nil
}

// document parses data and returns the content of the only document in it; nil
// when there is none.
func (r *reader) document(data []byte) (ast.Node, error) {
	tokens := lexer.Tokenize(string(data))
	if r.screen(tokens); len(r.complaints) > 0 {
		return nil, r.err()
	}
	file, err := parser.Parse(tokens, 0)
	if err != nil {
		var located yaml.Error
		if errors.As(err, &located) {
			r.complainAt(located.GetToken(), "%s", located.GetMessage())
		} else {
			r.complainAt(nil, "%v", err)
		}
		return nil, r.err()
	}
	var root ast.Node
	for i, doc := range file.Docs {
		switch {
		case doc.Body == nil:
		case i > 0:
			r.complain(doc.Body, "a second document: one file describes one integration")
		default:
			root = doc.Body
		}
	}
	return root, r.err()
}
