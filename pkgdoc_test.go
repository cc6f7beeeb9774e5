// Package rbdctl_test checks what holds for the module as a whole and belongs to
// no package of it: that every package says what it is for, that those which
// promise to do without Ceph and libvirt keep the promise, and which libraries the
// program asks the system for.
//
// It contains no code of rbdctl. What it looks at are sources, go list's answers
// and the compiled program.
package rbdctl_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// A package comment has to say something, and is no manual.
const minDocLines, maxDocLines = 5, 30

// TestPackageComments demands exactly one package comment of every package, test
// files counting only where there are no others.
func TestPackageComments(t *testing.T) {
	packages := parsePackages(t)
	if len(packages) == 0 {
		t.Fatal("no packages found")
	}
	for dir, files := range packages {
		t.Run(dir, func(t *testing.T) { checkComments(t, files) })
	}
}

func checkComments(t *testing.T, files map[string]*ast.File) {
	var commented []string
	for path, file := range files {
		if file.Doc == nil {
			continue
		}
		commented = append(commented, path)
		text := file.Doc.Text()
		if n := strings.Count(text, "\n"); n < minDocLines || n > maxDocLines {
			t.Errorf("%s: package comment of %d lines, want %d to %d", path, n, minDocLines, maxDocLines)
		}
		if want := opening(file.Name.Name, filepath.Dir(path)); !strings.HasPrefix(text, want) {
			t.Errorf("%s: package comment begins %.40q, want %q", path, text, want)
		}
	}
	switch len(commented) {
	case 0:
		t.Errorf("package %s has no package comment", anyName(files))
	case 1:
	default:
		t.Errorf("package %s has %d package comments: %s", anyName(files), len(commented), strings.Join(commented, ", "))
	}
}

// opening is how godoc wants a package comment to begin.
func opening(name, dir string) string {
	if name == "main" {
		return "Command " + filepath.Base(dir)
	}
	return "Package " + name
}

// parsePackages reads the head of every Go file of the module, by directory. The
// build constraints don't matter: a comment that one build hides counts too.
func parsePackages(t *testing.T) map[string]map[string]*ast.File {
	t.Helper()
	sources := map[string]map[string]*ast.File{}
	tests := map[string]map[string]*ast.File{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skip(path, entry.Name())
		}
		if filepath.Ext(path) != ".go" {
			return nil
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.PackageClauseOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		into := sources
		if strings.HasSuffix(path, "_test.go") {
			into = tests
		}
		dir := filepath.Dir(path)
		if into[dir] == nil {
			into[dir] = map[string]*ast.File{}
		}
		into[dir][path] = file
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for dir, files := range tests {
		if sources[dir] == nil {
			sources[dir] = files
		}
	}
	return sources
}

// skip leaves out what isn't of this module: what go ignores, and the tools.
func skip(path, name string) error {
	if path == "." {
		return nil
	}
	if path == "tools" || name == "testdata" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_") {
		return fs.SkipDir
	}
	return nil
}

func anyName(files map[string]*ast.File) string {
	for _, file := range files {
		return file.Name.Name
	}
	return ""
}
