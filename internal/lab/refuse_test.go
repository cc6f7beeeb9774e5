package lab_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"rbdctl/internal/fault"
	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

func TestUpRefuses(t *testing.T) {
	foreign := t.TempDir()
	if err := os.WriteFile(filepath.Join(foreign, "thesis.tex"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(foreign, "thesis.tex")
	dir := filepath.Join(t.TempDir(), "lab")
	for _, tt := range []struct {
		name string
		o    lab.Options
		want error
	}{
		{"no directory", lab.Options{}, fault.ErrInvalid},
		{"the root directory", lab.Options{Dir: "/"}, fault.ErrInvalid},
		{"a directory in use", lab.Options{Dir: foreign}, fault.ErrInvalid},
		{"a file", lab.Options{Dir: file}, fault.ErrInvalid},
		{"a name that ceph.conf cannot hold", lab.Options{Dir: dir + "$name"}, fault.ErrInvalid},
		{"a name with a blank", lab.Options{Dir: dir + " two"}, fault.ErrInvalid},
		{"fewer than no OSDs", lab.Options{Dir: dir, OSDs: -1}, fault.ErrInvalid},
		{"too many OSDs", lab.Options{Dir: dir, OSDs: 65}, fault.ErrInvalid},
		{"an unknown store", lab.Options{Dir: dir, Store: "filestore"}, fault.ErrInvalid},
		{"a tiny store", lab.Options{Dir: dir, OSDSize: 1}, fault.ErrInvalid},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := lab.Up(t.Context(), tt.o); !errors.Is(err, tt.want) {
				t.Errorf("Up = %v, want %v", err, tt.want)
			}
		})
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a refused lab has a directory")
	}
}

func TestDownLeavesOtherDirectoriesAlone(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "thesis.tex")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lab.Down(t.Context(), lab.DownOptions{Dir: dir}); !errors.Is(err, fault.ErrInvalid) {
		t.Errorf("Down = %v, want %v", err, fault.ErrInvalid)
	}
	if _, err := os.Stat(file); err != nil {
		t.Error(err)
	}
}

func TestRunningLabRefusesOtherOptions(t *testing.T) {
	l := labtest.Lab(t, lab.Options{OSDs: 2, NoLibvirt: true})
	for _, tt := range []struct {
		name string
		o    lab.Options
	}{
		{"fewer OSDs", lab.Options{OSDs: 1}},
		{"another store", lab.Options{Store: lab.BlueStore}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.o.Dir, tt.o.NoLibvirt = l.Dir(), true
			if _, err := lab.Up(t.Context(), tt.o); !errors.Is(err, fault.ErrInvalid) {
				t.Errorf("Up = %v, want %v", err, fault.ErrInvalid)
			}
		})
	}
	pids(t, l)
}

func TestStatusOfNoLab(t *testing.T) {
	for _, dir := range []string{t.TempDir(), "/does/not/exist"} {
		if _, err := lab.Status(t.Context(), dir); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("Status(%s) = %v, want %v", dir, err, fault.ErrNotFound)
		}
		if _, err := lab.Open(dir); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("Open(%s) = %v, want %v", dir, err, fault.ErrNotFound)
		}
	}
}

func TestEnvIsQuoted(t *testing.T) {
	var out bytes.Buffer
	err := lab.WriteEnv(&out, []lab.Var{{Name: "A", Value: "/plain"}, {Name: "B", Value: "a'b $c `d`"}})
	if err != nil {
		t.Fatal(err)
	}
	want := "export A='/plain'\nexport B='a'\\''b $c `d`'\n"
	if out.String() != want {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}
