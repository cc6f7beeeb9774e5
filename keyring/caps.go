package keyring

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// Cap is what an entity may do at one kind of daemon: one grant.
type Cap struct {
	Daemon string // mon, mgr, osd or mds
	Grant  Grant
}

// Caps are all that an entity may do: a set, without order. What this package
// returns is sorted and has nothing twice.
type Caps []Cap

// daemons are the kinds of daemons that have caps, in the order in which they
// are printed.
func daemons() []string { return []string{"mon", "mgr", "osd", "mds"} }

// ParseCaps reads caps as the ceph command takes them:
//
//	mon 'profile rbd' osd 'profile rbd pool=volumes, profile rbd-read-only pool=images'
//
// A grant that is not understood and a profile that the daemon does not know are
// errors of kind ErrInvalid. Grants at the mds are not understood.
func ParseCaps(text string) (Caps, error) {
	if !utf8.ValidString(text) {
		return nil, invalidf("caps %+q: not UTF-8", clip(text))
	}
	words, err := shellWords(text)
	if err != nil {
		return nil, invalidf("caps %q: %v", clip(text), err)
	}
	if len(words)%2 != 0 {
		return nil, invalidf("caps %q: want pairs of a daemon and its grants, such as mon 'profile rbd'", clip(text))
	}
	var caps Caps
	seen := make(map[string]bool)
	for pair := range slices.Chunk(words, 2) {
		if seen[pair[0]] {
			return nil, invalidf("caps %q: %s comes twice", clip(text), pair[0])
		}
		seen[pair[0]] = true
		more, err := parseDaemon(pair[0], pair[1])
		if err != nil {
			return nil, err
		}
		caps = append(caps, more...)
	}
	return caps.sorted(), nil
}

// parseDaemon reads the grants at one kind of daemon.
func parseDaemon(daemon, text string) (Caps, error) {
	if !slices.Contains(daemons(), daemon) {
		return nil, invalidf("unknown kind of daemon %q: want mon, mgr or osd", clip(daemon))
	}
	if daemon == "mds" {
		return nil, invalidf("caps at the mds are for CephFS and are not understood")
	}
	if len(text) > maxCaps {
		return nil, invalidf("%s caps: longer than %d bytes", daemon, maxCaps)
	}
	var caps Caps
	for _, piece := range splitGrants(text) {
		g, err := parseGrant(daemon, piece)
		if err != nil {
			return nil, invalidf("%s cap %q: %v", daemon, clip(strings.TrimSpace(piece)), err)
		}
		c := Cap{Daemon: daemon, Grant: g}
		if err := knownProfile(c); err != nil {
			return nil, err
		}
		caps = append(caps, c)
	}
	return caps, nil
}

// foreignCaps takes caps as the monitors, or a file, gave them. What is not
// understood is kept as it stands and equals only itself: an entity of a newer
// release, or of CephFS, is none of our business but must not stop us.
func foreignCaps(texts map[string]string) Caps {
	var caps Caps
	for daemon, text := range texts {
		for _, piece := range splitGrants(text) {
			piece = strings.TrimSpace(piece)
			if piece == "" {
				continue
			}
			g := Grant{kind: kindVerbatim, name: piece}
			if daemon != "mds" {
				if parsed, err := parseGrant(daemon, piece); err == nil {
					g = parsed
				}
			}
			caps = append(caps, Cap{Daemon: daemon, Grant: g})
		}
	}
	return caps.sorted()
}

// Equal reports whether c and other mean the same: order, spaces, quotes and
// repetition don't count. It does not look into profiles: "profile rbd" and the
// grants that it stands for are not equal.
func (c Caps) Equal(other Caps) bool { return c.String() == other.String() }

// Minus returns the grants of c that other has not.
func (c Caps) Minus(other Caps) Caps {
	return slices.DeleteFunc(c.sorted(), func(have Cap) bool {
		return slices.ContainsFunc(other, func(o Cap) bool { return o.equal(have) })
	})
}

func (c Cap) equal(other Cap) bool {
	return c.Daemon == other.Daemon && c.Grant.String() == other.Grant.String()
}

// sorted returns c in canonical order, without repetitions.
func (c Caps) sorted() Caps {
	c = slices.Clone(c)
	slices.SortFunc(c, func(a, b Cap) int {
		if d := daemonRank(a.Daemon) - daemonRank(b.Daemon); d != 0 {
			return d
		}
		if d := strings.Compare(a.Daemon, b.Daemon); d != 0 {
			return d
		}
		return strings.Compare(a.Grant.String(), b.Grant.String())
	})
	return slices.CompactFunc(c, Cap.equal)
}

func daemonRank(daemon string) int {
	if i := slices.Index(daemons(), daemon); i >= 0 {
		return i
	}
	return len(daemons())
}

// Texts returns the canonical text of the grants at each kind of daemon that has
// any: what the monitors store.
func (c Caps) Texts() map[string]string {
	texts := make(map[string]string)
	for _, one := range c.sorted() {
		if texts[one.Daemon] != "" {
			texts[one.Daemon] += ", "
		}
		texts[one.Daemon] += one.Grant.String()
	}
	return texts
}

// pairs returns daemon and text in turn, as the monitors' commands want them.
func (c Caps) pairs() []string {
	texts := c.Texts()
	var pairs []string
	for _, one := range c.sorted() {
		if text, ok := texts[one.Daemon]; ok {
			pairs = append(pairs, one.Daemon, text)
			delete(texts, one.Daemon)
		}
	}
	return pairs
}

// String is the canonical text of c, as ParseCaps takes it, ready for a shell.
func (c Caps) String() string {
	words := c.pairs()
	for i := 1; i < len(words); i += 2 {
		words[i] = "'" + strings.ReplaceAll(words[i], "'", `'\''`) + "'"
	}
	return strings.Join(words, " ")
}

// MarshalJSON is an object of Texts.
func (c Caps) MarshalJSON() ([]byte, error) { return json.Marshal(c.Texts()) }

// shellWords cuts text as a shell does that has single quotes, double quotes and
// backslashes, and expands nothing.
func shellWords(text string) ([]string, error) {
	var words []string
	var word strings.Builder
	var quote rune
	open, escaped := false, false
	for _, r := range text {
		switch {
		case escaped:
			word.WriteRune(r)
			escaped = false
		case r == '\\' && quote != '\'':
			open, escaped = true, true
		case quote != 0 && r == quote:
			quote = 0
		case quote != 0:
			word.WriteRune(r)
		case r == '\'' || r == '"':
			open, quote = true, r
		case r == ' ' || r == '\t' || r == '\n':
			if open {
				words = append(words, word.String())
				word.Reset()
			}
			open = false
		default:
			open = true
			word.WriteRune(r)
		}
	}
	if quote != 0 || escaped {
		return nil, fmt.Errorf("a quote is never closed")
	}
	if open {
		words = append(words, word.String())
	}
	return words, nil
}
