package docs_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"rbdctl/internal/lab"
	"rbdctl/internal/lab/labtest"
)

func TestMain(m *testing.M) { labtest.Main(m) }

const root = "../.."

func documents(t *testing.T) []string {
	t.Helper()
	manual, err := filepath.Glob(filepath.Join(root, "docs", "manual", "*.md"))
	if err != nil || len(manual) == 0 {
		t.Fatalf("no manual: %v", err)
	}
	return append([]string{filepath.Join(root, "README.md")}, manual...)
}

// TestSessions runs each document's sessions.
func TestSessions(t *testing.T) {
	if testing.Short() {
		t.Skip("needs a real cluster, which -short leaves out")
	}
	binary := labtest.Build(t)
	for _, document := range documents(t) {
		var steps []step
		for _, f := range fences(t, document) {
			if f.kind == "console" {
				steps = append(steps, f.steps(t)...)
			}
		}
		if len(steps) == 0 {
			continue
		}
		t.Run(filepath.Base(document), func(t *testing.T) {
			l := labtest.Lab(t, lab.Options{OSDs: 3, Store: lab.MemStore, FastMon: true})
			sh := startShell(t, l, filepath.Dir(binary))
			for _, s := range steps {
				s.run(t, sh)
			}
		})
	}
}

// TestCheckoutCommands holds the fences for the checkout to the Makefile.
func TestCheckoutCommands(t *testing.T) {
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range documents(t) {
		for _, f := range fences(t, document) {
			switch f.kind {
			case "console", "yaml", "json", "ini", "text", "xml":
				continue
			case "sh":
			default:
				t.Errorf("%s: a fence of kind %q: use console for what is run", f.where(), f.kind)
			}
			for _, line := range f.lines {
				command, _, _ := strings.Cut(line, "#")
				words := strings.Fields(command)
				for len(words) > 0 && strings.Contains(words[0], "=") {
					words = words[1:] // a variable for the command
				}
				if len(words) == 0 {
					continue
				}
				target := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(words[len(words)-1]) + `:`)
				if words[0] != "make" || len(words) != 2 || !target.Match(makefile) {
					t.Errorf("%s: %q is no target of the Makefile", f.where(), line)
				}
			}
		}
	}
}

var (
	link    = regexp.MustCompile(`\]\(([^)#]*)(?:#([^)]*))?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.*)$`)
)

// TestLinks follows every link to a file of the checkout.
func TestLinks(t *testing.T) {
	for _, document := range documents(t) {
		text, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, found := range link.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(found[1], "://") {
				continue
			}
			target := filepath.Join(filepath.Dir(document), found[1])
			if found[1] == "" {
				target = document
			}
			there, err := os.Stat(target)
			if err != nil {
				t.Errorf("%s: %s: %v", document, found[0], err)
			} else if !there.IsDir() && found[2] != "" && !hasAnchor(t, target, found[2]) {
				t.Errorf("%s: %s: there is no such heading", document, found[0])
			}
		}
	}
}

// hasAnchor tells whether a heading of document gets this anchor.
func hasAnchor(t *testing.T, document, anchor string) bool {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	for _, found := range heading.FindAllStringSubmatch(string(text), -1) {
		words := regexp.MustCompile(`[^\w\- ]`).ReplaceAllString(strings.ToLower(found[1]), "")
		if strings.ReplaceAll(words, " ", "-") == anchor {
			return true
		}
	}
	return false
}

// fence is one fenced block of a document.
type fence struct {
	document string
	line     int
	kind     string
	lines    []string
}

func (f fence) where() string { return f.document + ":" + strconv.Itoa(f.line) }

func fences(t *testing.T, document string) []fence {
	t.Helper()
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	var list []fence
	var open *fence
	for n, line := range strings.Split(string(text), "\n") {
		kind, isFence := strings.CutPrefix(line, "```")
		switch {
		case isFence && open == nil:
			open = &fence{document: document, line: n + 1, kind: kind}
		case isFence:
			list = append(list, *open)
			open = nil
		case open != nil:
			open.lines = append(open.lines, line)
		}
	}
	if open != nil {
		t.Fatalf("%s: the fence is not closed", open.where())
	}
	return list
}

// step is one command of a session.
type step struct {
	where   string
	command string
	output  []string
}

var statusComment = regexp.MustCompile(`\s+# exit (\d+)$`)

func (f fence) steps(t *testing.T) []step {
	t.Helper()
	var steps []step
	for n, line := range f.lines {
		at := f.document + ":" + strconv.Itoa(f.line+n+1)
		command, isCommand := strings.CutPrefix(line, "$ ")
		switch {
		case isCommand:
			steps = append(steps, step{where: at, command: command})
		case len(steps) == 0:
			t.Fatalf("%s: output before any command", at)
		default:
			last := &steps[len(steps)-1]
			if strings.HasSuffix(last.command, "\\") {
				last.command = strings.TrimSuffix(last.command, "\\") + strings.TrimSpace(line)
				continue
			}
			last.output = append(last.output, line)
		}
	}
	return steps
}

func (s step) run(t *testing.T, sh *shell) {
	t.Helper()
	want := 0
	if found := statusComment.FindStringSubmatch(s.command); found != nil {
		want, _ = strconv.Atoi(found[1])
	}
	output, status := sh.run(s.command)
	if status != want {
		t.Fatalf("%s: %s\nexit status %d, want %d; it printed\n%s", s.where, s.command, status, want, output)
	}
	if !s.pattern().MatchString(output) {
		t.Errorf("%s: %s\nprinted\n%s\nthe document has\n%s", s.where, s.command, output, strings.Join(s.output, "\n"))
	}
}

// columns are what keeps those of a table apart.
var columns = regexp.MustCompile(` {2,}`)

// pattern is what the command has to print.
func (s step) pattern() *regexp.Regexp {
	var p strings.Builder
	p.WriteString(`\A`)
	for _, line := range s.output {
		if strings.TrimSpace(line) == "…" {
			p.WriteString(`(?s:.*)`)
			continue
		}
		words := regexp.QuoteMeta(strings.TrimRight(line, " "))
		words = columns.ReplaceAllString(words, " +") // as wide as what stands in them
		p.WriteString(strings.ReplaceAll(words, "…", ".*") + ` *\n`)
	}
	p.WriteString(`\z`)
	return regexp.MustCompile(p.String())
}
