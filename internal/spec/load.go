package spec

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"rbdctl/internal/fault"
)

// DefaultPath is the file that is read, if it exists, when none is named.
const DefaultPath = "/etc/rbdctl/rbdctl.yaml"

// maxBytes bounds the file: enough for thousands of nodes.
const maxBytes = 256 << 10

// Load reads the file at path. The empty path means DefaultPath if that exists,
// and else the standard integration; File of the result says which it was.
//
// ErrNotFound: there is no file at path; ErrDenied: it may not be read;
// ErrInvalid: it is malformed, see [Parse].
func Load(path string) (Spec, error) { return load(path, DefaultPath) }

func load(path, fallback string) (Spec, error) {
	named := path != ""
	if !named {
		path = fallback
	}
	data, err := read(path)
	if !named && errors.Is(err, fs.ErrNotExist) {
		return Standard(), nil
	}
	if err != nil {
		return Spec{}, err
	}
	s, err := Parse(path, data)
	s.File = path
	return s, err
}

// read returns the file's content, and no more of it than Parse takes.
func read(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, unreadable(err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxBytes+1))
	if err != nil {
		return nil, unreadable(err)
	}
	return data, nil
}

// unreadable gives an error of the file system, which names the file, its kind.
func unreadable(err error) error {
	kind := error(nil)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = fault.ErrNotFound
	case errors.Is(err, fs.ErrPermission):
		kind = fault.ErrDenied
	}
	return &fault.Error{Op: "read configuration", Kind: kind, Err: err}
}
