package keyring

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Entry is an entity with its key and its caps. In a file for a client there
// are no caps: the monitors know them.
type Entry struct {
	Entity Entity `json:"entity"`
	Key    Key    `json:"key"`
	Caps   Caps   `json:"caps"`
}

// Keyring is a set of entities with keys and caps, sorted by name.
type Keyring []Entry

// Bounds of a keyring file.
const (
	maxFile = 1 << 20  // bytes
	maxLine = 64 << 10 // bytes
)

// Find returns the entry of e.
func (k Keyring) Find(e Entity) (Entry, bool) {
	for _, entry := range k {
		if entry.Entity == e {
			return entry, true
		}
	}
	return Entry{}, false
}

// Bare returns k without caps: what a client's file holds.
func (k Keyring) Bare() Keyring {
	bare := slices.Clone(k)
	for i := range bare {
		bare[i].Caps = nil
	}
	return bare
}

// sorted returns k in the order of names.
func (k Keyring) sorted() Keyring {
	k = slices.Clone(k)
	slices.SortFunc(k, func(a, b Entry) int { return strings.Compare(a.Entity.String(), b.Entity.String()) })
	return k
}

// WriteTo writes k in the format of keyring files. Equal keyrings give equal
// bytes. What it writes holds the keys: see [WriteFile].
//
// Similar To: ceph auth export.
func (k Keyring) WriteTo(w io.Writer) (int64, error) {
	text := k.bytes()
	defer clear(text)
	n, err := w.Write(text)
	return int64(n), err
}

// bytes is k as a file, which the caller clears. It is made in one piece of the
// right size, so that no copy with a key in it is left behind by growing.
func (k Keyring) bytes() []byte {
	k = k.sorted()
	size := 0
	for _, e := range k {
		size += 64 + len(e.Entity.String()) + 64 + 2*len(e.Caps.String()) + 32*len(e.Caps)
	}
	b := bytes.NewBuffer(make([]byte, 0, size))
	for _, e := range k {
		fmt.Fprintf(b, "[%s]\n\tkey = ", e.Entity)
		text := e.Key.Reveal()
		b.Write(text)
		clear(text)
		b.WriteByte('\n')
		pairs := e.Caps.pairs()
		for i := 0; i < len(pairs); i += 2 {
			fmt.Fprintf(b, "\tcaps %s = \"%s\"\n", pairs[i], escape(pairs[i+1]))
		}
	}
	return b.Bytes()
}

// escape protects what ends or escapes a quoted value of a keyring file.
func escape(value string) string { return strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(value) }

// Parse reads the format of keyring files: sections named by entities, with a
// key and caps, and comments after '#' or ';'. An error is of kind ErrInvalid,
// says in which line it is, and repeats nothing that could be a key. Caps that
// are not understood are kept as they stand.
func Parse(r io.Reader) (Keyring, error) {
	p := fileParser{caps: make(map[string]string)}
	lines := bufio.NewScanner(io.LimitReader(r, maxFile+1))
	lines.Buffer(make([]byte, 0, 4096), maxLine)
	for lines.Scan() {
		p.line++
		if p.size += len(lines.Bytes()) + 1; p.size > maxFile {
			return nil, invalidf("keyring: longer than %d bytes", maxFile)
		}
		if err := p.add(lines.Bytes()); err != nil {
			return nil, invalidf("keyring: line %d: %v", p.line, err)
		}
	}
	if err := lines.Err(); errors.Is(err, bufio.ErrTooLong) {
		return nil, invalidf("keyring: line %d: longer than %d bytes", p.line+1, maxLine)
	} else if err != nil {
		return nil, fmt.Errorf("keyring: line %d: %w", p.line+1, err)
	}
	if err := p.end(); err != nil {
		return nil, invalidf("keyring: line %d: %v", p.line, err)
	}
	return p.keyring.sorted(), nil
}

// fileParser is the state of Parse between two lines.
type fileParser struct {
	keyring Keyring
	open    bool // a section has begun; it is the last of keyring
	caps    map[string]string
	line    int
	size    int
}

// add takes one line.
func (p *fileParser) add(line []byte) error {
	line = bytes.TrimSpace(line)
	switch {
	case len(line) == 0 || line[0] == '#' || line[0] == ';':
		return nil
	case line[0] == '[':
		return p.section(string(line))
	case !p.open:
		return fmt.Errorf("want a section first, such as [client.cinder]")
	}
	name, value, ok := bytes.Cut(line, []byte("="))
	if !ok {
		return fmt.Errorf("want NAME = VALUE")
	}
	val, err := fileValue(bytes.TrimSpace(value))
	if err != nil {
		return err
	}
	entry := &p.keyring[len(p.keyring)-1]
	switch words := bytes.Fields(name); {
	case len(words) == 1 && string(words[0]) == "key":
		defer clear(val)
		if !entry.Key.IsZero() {
			return fmt.Errorf("a second key of %s", entry.Entity)
		}
		if entry.Key, err = ParseKey(val); err != nil {
			return fmt.Errorf("%s: %w", entry.Entity, err)
		}
	case len(words) == 2 && string(words[0]) == "caps":
		daemon := string(words[1])
		if !slices.Contains(daemons(), daemon) {
			return fmt.Errorf("caps of an unknown kind of daemon")
		}
		if _, twice := p.caps[daemon]; twice {
			return fmt.Errorf("a second line of %s caps", daemon)
		}
		p.caps[daemon] = string(val)
	default:
		return fmt.Errorf("unknown field: want key, or caps and a daemon")
	}
	return nil
}

// section ends the section before and begins the one that line names.
func (p *fileParser) section(line string) error {
	if err := p.end(); err != nil {
		return err
	}
	name, comment, ok := strings.Cut(line[1:], "]")
	if comment = strings.TrimSpace(comment); !ok || comment != "" && comment[0] != '#' && comment[0] != ';' {
		return fmt.Errorf("want a section such as [client.cinder]")
	}
	e, err := ParseEntity(strings.TrimSpace(name))
	if err != nil {
		return err
	}
	if _, twice := p.keyring.Find(e); twice {
		return fmt.Errorf("a second section of %s", e)
	}
	p.keyring, p.open = append(p.keyring, Entry{Entity: e}), true
	return nil
}

// end completes the open section.
func (p *fileParser) end() error {
	if !p.open {
		return nil
	}
	entry := &p.keyring[len(p.keyring)-1]
	if entry.Key.IsZero() {
		return fmt.Errorf("%s has no key", entry.Entity)
	}
	if len(p.caps) > 0 {
		entry.Caps = foreignCaps(p.caps)
	}
	clear(p.caps)
	p.open = false
	return nil
}

// fileValue undoes quotes and backslashes, and drops a comment. It returns a
// copy.
func fileValue(value []byte) ([]byte, error) {
	out := make([]byte, 0, len(value))
	quoted := len(value) > 0 && value[0] == '"'
	if quoted {
		value = value[1:]
	}
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case c == '\\' && i+1 < len(value):
			i++
			out = append(out, value[i])
		case quoted && c == '"':
			rest := bytes.TrimSpace(value[i+1:])
			if len(rest) > 0 && rest[0] != '#' && rest[0] != ';' {
				return nil, fmt.Errorf("something stands after the closing quote")
			}
			return out, nil
		case !quoted && (c == '#' || c == ';'):
			return bytes.TrimSpace(out), nil
		default:
			out = append(out, c)
		}
	}
	if quoted {
		return nil, fmt.Errorf("a quote is never closed")
	}
	return bytes.TrimSpace(out), nil
}
