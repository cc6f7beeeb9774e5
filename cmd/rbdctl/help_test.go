package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// onlyText runs a command that needs no cluster.
func onlyText(t *testing.T, args ...string) (stdout, stderr string, status int) {
	t.Helper()
	var out, errOut bytes.Buffer
	status = run(t.Context(), append([]string{programName}, args...), strings.NewReader(""), &out, &errOut)
	return out.String(), errOut.String(), status
}

// commandPages are the pages of all commands, groups among them.
func commandPages(t *testing.T) []page {
	t.Helper()
	all := leaves(newApp(newEnv(nil, nil, nil)))
	if len(all) < 20 {
		t.Fatalf("%d commands", len(all))
	}
	return all
}

func TestHelpOfEveryCommand(t *testing.T) {
	for _, p := range commandPages(t) {
		out, errOut, status := onlyText(t, append(strings.Fields(p.name)[1:], "--help")...)
		if status != 0 || errOut != "" {
			t.Errorf("%s --help: status %d, stderr %q", p.name, status, errOut)
		}
		for line := range strings.Lines(out) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth {
				t.Errorf("%s --help: %d columns: %s", p.name, n, line)
			}
		}
		for _, want := range []string{p.name + ": " + p.usage[:10], "\nUSAGE:\n   " + p.synopsis(), "--help, -h", "EXIT STATUS"} {
			if !strings.Contains(out, want) {
				t.Errorf("%s --help lacks %q:\n%s", p.name, want, out)
			}
		}
		_, global, _ := strings.Cut(out, "\nGLOBAL OPTIONS:\n")
		if strings.Count(global, "(default: 2m)") != 1 || strings.Contains(global, "0s") {
			t.Errorf("%s --help has no single default of --timeout:\n%s", p.name, out)
		}
	}
}

func TestHelpWithoutACommand(t *testing.T) {
	want, _, status := onlyText(t)
	if status != 0 || !strings.Contains(want, "\nEXIT STATUS:\n   0         success\n") || !strings.Contains(want, "   9  ") {
		t.Errorf("status %d: %s", status, want)
	}
	for _, tt := range []struct{ args, like string }{
		{"help", ""},
		{"-h", ""},
		{"--help", ""},
		{"pools help", "pools --help"},
		{"help pools", "pools --help"},
		{"pools", "pools --help"},
		{"help pools init", "pools init --help"},
		{"pools help init", "pools init -h"},
	} {
		want, _, _ := onlyText(t, strings.Fields(tt.like)...)
		if out, errOut, status := onlyText(t, strings.Fields(tt.args)...); status != 0 || errOut != "" || out != want {
			t.Errorf("%s: status %d, stderr %q, stdout %s", tt.args, status, errOut, out)
		}
	}
	for _, args := range []string{"help frobnicate", "pools help frobnicate", "--frobnicate", "pools init --frobnicate"} {
		out, errOut, status := onlyText(t, strings.Fields(args)...)
		if status != 2 || out != "" || strings.Count(errOut, "\n") != 1 || !strings.Contains(errOut, "frobnicate") {
			t.Errorf("%s: status %d, stdout %q, stderr %q", args, status, out, errOut)
		}
	}
}

// What a person is shown of several libvirts, and of one.
func TestPrintNodes(t *testing.T) {
	rows := []onNodeRow{
		{"a://1", row{[]any{"x", 1}, []string{"below x"}}},
		{"a://1", row{cells: []any{"yy", 2}}},
		{"b://2", row{cells: []any{"z", 3}}},
	}
	for _, tt := range []struct {
		several bool
		rows    []onNodeRow
		want    string
	}{
		{false, nil, ""},
		{true, nil, ""},
		{false, rows[:2], "NAME  N\nx     1\n  below x\nyy    2\n"},
		{true, rows, "a://1\nNAME  N\nx     1\n  below x\nyy    2\n\nb://2\nNAME  N\nz     3\n"},
	} {
		var out bytes.Buffer
		if err := newEnv(nil, &out, nil).printNodes(tt.several, []any{"NAME", "N"}, tt.rows); err != nil || out.String() != tt.want {
			t.Errorf("printNodes(%v) = %v, %q; want %q", tt.several, err, out.String(), tt.want)
		}
	}
}

func TestManual(t *testing.T) {
	page, _, status := onlyText(t, "manual")
	if status != 0 {
		t.Fatalf("status %d", status)
	}
	// groff-base belongs to what every Debian installs; install.sh installs it, too.
	groff := exec.CommandContext(t.Context(), "groff", "-ww", "-b", "-man", "-Tascii", "-rLL=80n", "-P-c")
	var out, warnings bytes.Buffer
	groff.Stdin, groff.Stdout, groff.Stderr = strings.NewReader(page), &out, &warnings
	if err := groff.Run(); err != nil || warnings.Len() > 0 {
		t.Errorf("groff: %v\n%s", err, warnings.String())
	}
	text := strings.Join(strings.Fields(unbold(out.String())), " ")
	for _, p := range commandPages(t) {
		if !strings.Contains(text, p.synopsis()) {
			t.Errorf("the page lacks %q", p.synopsis())
		}
	}
	for _, want := range []string{"EXIT STATUS", "ENVIRONMENT", "CEPH_CONF", "RBDCTL_LIBVIRT_URI", "FILES", "/etc/rbdctl/rbdctl.yaml", "130, 143"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

// unbold takes away the overstriking with which -P-c prints bold words.
func unbold(text string) string {
	var b []rune
	for _, c := range text {
		if c == '\b' {
			b = b[:len(b)-1]
			continue
		}
		b = append(b, c)
	}
	return string(b)
}

func TestBashCompletes(t *testing.T) {
	binary := filepath.Join(t.TempDir(), programName)
	script, _, status := onlyText(t, "completion", "bash")
	if status != 0 {
		t.Fatalf("completion bash: status %d", status)
	}
	// The test binary stands for the program: see TestMain.
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, binary); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		line string // words; the last is being completed
		want []string
		not  string
	}{
		{"rbdctl ", []string{"pools", "keyring", "secret", "image", "lab", "completion"}, "manual"},
		{"rbdctl ke", []string{"keyring"}, "pools"},
		{"rbdctl pools ", []string{"plan", "init", "ls", "rm"}, "keyring"},
		{"rbdctl --output json pools i", []string{"init"}, "ls"},
		{"rbdctl --output ", []string{"table", "json"}, "commands"},
		{"rbdctl pools plan --output ", []string{"table", "json", "commands"}, "volumes"},
		{"rbdctl pools init --allow", []string{"--allow-data-movement"}, "--size"},
		{"rbdctl pools init --", []string{"--size", "--ceph-conf", "--help"}, "ls"},
	} {
		words := strings.Split(tt.line, " ")
		words[0] = binary
		asked := script + `COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rbdctl; printf '%s\n' "${COMPREPLY[@]}"`
		bash := exec.CommandContext(t.Context(), "bash", append([]string{"--norc", "-c", asked, "bash"}, words...)...)
		bash.Env = append(os.Environ(), asProgram+"=1")
		out, err := bash.Output()
		if err != nil {
			t.Fatalf("%s: %v", tt.line, err)
		}
		got := strings.Fields(string(out))
		for _, want := range tt.want {
			if !slices.Contains(got, want) {
				t.Errorf("%q proposes %q, not %q", tt.line, got, want)
			}
		}
		if slices.Contains(got, tt.not) {
			t.Errorf("%q proposes %q", tt.line, got)
		}
	}
}
