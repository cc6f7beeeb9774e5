package keyring

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// parseGrant reads one grant at one kind of daemon. It knows the grammars of
// mon, mgr and osd, and is a little more liberal than they are with spaces and
// order: what it returns prints in the form that they accept. The errors have
// no kind yet: the caller knows the whole text and adds it.
func parseGrant(daemon, text string) (Grant, error) {
	tokens, err := lex(text)
	if err != nil {
		return Grant{}, err
	}
	p := &parser{daemon: daemon, rest: tokens}
	var g Grant
	switch {
	case len(tokens) == 0:
		return Grant{}, errors.New("nothing is granted: a comma too many?")
	case p.take("profile"):
		g, err = p.profile()
	case p.take("allow"):
		g, err = p.allow()
	default:
		return Grant{}, fmt.Errorf(`%q: a grant begins with "allow" or "profile"`, clip(tokens[0].text))
	}
	if err != nil {
		return Grant{}, err
	}
	if len(p.rest) > 0 {
		return Grant{}, fmt.Errorf("%q is not understood there", clip(p.rest[0].text))
	}
	sortTerms(g.terms)
	return g, nil
}

// parser holds what is left of a grant.
type parser struct {
	daemon string
	rest   []token
}

// peek returns the i-th token to come; the zero token past the end.
func (p *parser) peek(i int) token {
	if i < len(p.rest) {
		return p.rest[i]
	}
	return token{}
}

// take consumes the bare word w when it comes next.
func (p *parser) take(w string) bool {
	if len(p.rest) == 0 || !p.rest[0].is(w) {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// str consumes a string for what.
func (p *parser) str(what string) (string, error) {
	t := p.peek(0)
	switch {
	case t.quoted && t.text != "":
	case t.quoted || t.text == "" || t.is("="):
		return "", fmt.Errorf("the %s is missing", what)
	case strings.Trim(t.text, "/") != "" && !bare(strings.ReplaceAll(t.text, "/", "")):
		return "", fmt.Errorf("%s %q: put it in quotes", what, clip(t.text))
	}
	p.rest = p.rest[1:]
	return t.text, nil
}

// named consumes "NAME" or "=NAME".
func (p *parser) named(what string) (string, error) {
	p.take("=")
	return p.str(what)
}

func (p *parser) profile() (g Grant, err error) {
	g.kind = kindProfile
	if g.name, err = p.named("profile's name"); err != nil {
		return g, err
	}
	switch p.daemon {
	case "osd":
		return g, p.scope(&g, "pool", "namespace")
	case "mgr":
		if err := p.arguments(&g); err != nil {
			return g, err
		}
	}
	return g, p.networkTo(&g)
}

func (p *parser) allow() (Grant, error) {
	if p.daemon == "osd" {
		return p.allowOSD()
	}
	switch {
	case p.take("profile"):
		return p.profile()
	case p.take("command"):
		return p.allowNamed(kindCommand)
	case p.take("service"):
		return p.allowNamed(kindService)
	case p.daemon == "mgr" && p.take("module"):
		return p.allowNamed(kindModule)
	}
	g := Grant{kind: kindAllow}
	var err error
	if g.perms, err = p.permissions(); err != nil {
		return g, err
	}
	if p.daemon == "mon" && p.peek(0).is("fsname") {
		if err := p.scope(&g, "fsname"); err != nil {
			return g, err
		}
	}
	return g, p.networkTo(&g)
}

// allowNamed reads what comes after "allow command", "allow service" or "allow
// module".
func (p *parser) allowNamed(kind grantKind) (g Grant, err error) {
	g.kind = kind
	if g.name, err = p.named(string(kind) + "'s name"); err != nil {
		return g, err
	}
	if kind != kindService && p.take("with") {
		if err := p.arguments(&g); err != nil {
			return g, err
		}
		if len(g.terms) == 0 {
			return g, errors.New(`"with" wants an argument, such as key=value`)
		}
	}
	if kind != kindCommand {
		if g.perms, err = p.permissions(); err != nil {
			return g, err
		}
	}
	return g, p.networkTo(&g)
}

// allowOSD reads what comes after "allow" at the osd: permissions or a class,
// and before or after them what they are limited to.
func (p *parser) allowOSD() (g Grant, err error) {
	g.kind = kindAllow
	if err := p.scope(&g, "pool", "namespace", "object_prefix", "tag"); err != nil {
		return g, err
	}
	if p.take("class") {
		g.kind = kindClass
		if g.name, err = p.str("class's name"); err != nil {
			return g, err
		}
		if t := p.peek(0); t.text != "" && (t.quoted || !keyword(t.text)) {
			if g.method, err = p.str("method's name"); err != nil {
				return g, err
			}
		}
	} else if g.perms, err = p.permissions(); err != nil {
		return g, err
	}
	if g.network == "" {
		err = p.scope(&g, "pool", "namespace", "object_prefix", "tag")
	}
	if err == nil && g.limitedBy("tag") && (g.limitedBy("pool") || g.limitedBy("object_prefix")) {
		err = errors.New("a tag stands instead of a pool and an object_prefix")
	}
	return g, err
}

// limitedBy reports whether g has a term of the osd that begins with word.
func (g Grant) limitedBy(word string) bool {
	return slices.ContainsFunc(g.terms, func(t term) bool {
		if t.op == "tag" {
			return word == "tag"
		}
		return t.key == word
	})
}

// permissions reads "*", "all", or some of r, w, x in this order; at the osd
// class-read and class-write too.
func (p *parser) permissions() (perms, error) {
	if p.take("*") || p.take("all") {
		return permAny, nil
	}
	var set perms
	if w := p.peek(0); !w.quoted && w.text != "" {
		if bits, ok := letters(w.text); ok {
			set |= bits
			p.rest = p.rest[1:]
		}
	}
	if p.daemon == "osd" {
		for {
			if p.take("class-read") {
				set |= permClassRead
			} else if p.take("class-write") {
				set |= permClassWrite
			} else {
				break
			}
		}
	}
	if set == 0 {
		return 0, errors.New("the permissions are missing: want *, or some of rwx in this order")
	}
	return set, nil
}

// letters reads r, w and x, each at most once and in this order.
func letters(word string) (set perms, ok bool) {
	for i, l := range "rwx" {
		if rest, found := strings.CutPrefix(word, string(l)); found {
			word = rest
			set |= []perms{permRead, permWrite, permExec}[i]
		}
	}
	return set, word == ""
}

// scope reads the terms of the osd whose keys are given, and a network after
// them, into g.
func (p *parser) scope(g *Grant, keys ...string) error {
	for {
		key := p.peek(0)
		if key.quoted || !slices.Contains(keys, key.text) {
			return p.networkTo(g)
		}
		if g.limitedBy(key.text) {
			return fmt.Errorf("a second %s", key.text)
		}
		p.rest = p.rest[1:]
		t, err := p.scopeTerm(key.text)
		if err != nil {
			return err
		}
		g.terms = append(g.terms, t)
	}
}

func (p *parser) scopeTerm(key string) (t term, err error) {
	t = term{key: key, op: "="}
	switch key {
	case "namespace":
		p.take("=")
		return t, p.namespace(&t)
	case "tag":
		t.op = "tag"
		if t.key, err = p.str("tag's application"); err != nil {
			return t, err
		}
		if t.sub, err = p.tagWord("tag's key"); err != nil {
			return t, err
		}
		if !p.take("=") {
			return t, errors.New("a tag wants KEY=VALUE")
		}
		t.val, err = p.tagWord("tag's value")
		return t, err
	case "object_prefix":
		t.val, err = p.str(key)
		return t, err
	}
	t.val, err = p.named(key)
	return t, err
}

// namespace reads a namespace: it may be empty, for the one without a name, and
// may end in a star, for all that begin so.
func (p *parser) namespace(t *term) error {
	next := p.peek(0)
	base, star := strings.CutSuffix(next.text, "*")
	switch {
	case next.quoted:
		t.val = next.text
		p.rest = p.rest[1:]
		if s := p.peek(0); s.glued && s.is("*") {
			t.val += "*"
			p.rest = p.rest[1:]
		}
		return nil
	case star && bare(base):
		t.val = next.text
		p.rest = p.rest[1:]
		return nil
	}
	var err error
	t.val, err = p.str("namespace")
	return err
}

func (p *parser) tagWord(what string) (string, error) {
	if p.take("*") || p.take("all") {
		return "*", nil
	}
	return p.str(what)
}

// arguments reads key=value, key prefix value and key regex value into g, as
// long as they come.
func (p *parser) arguments(g *Grant) error {
	for {
		op := p.peek(1)
		if len(p.rest) < 2 || op.quoted || !slices.Contains([]string{"=", "prefix", "regex"}, op.text) || p.peek(0).is("network") && !op.is("=") {
			return nil
		}
		key, err := p.str("argument's name")
		if err != nil {
			return err
		}
		if slices.ContainsFunc(g.terms, func(t term) bool { return t.key == key }) {
			return fmt.Errorf("a second %s", key)
		}
		p.rest = p.rest[1:]
		val, err := p.str(key)
		if err != nil {
			return err
		}
		g.terms = append(g.terms, term{key: key, op: op.text, val: val})
	}
}

// networkTo reads "network ADDRESS/BITS" into g when it comes next. Ceph takes
// what is not an address too, and then the grant never applies.
func (p *parser) networkTo(g *Grant) error {
	if g.network != "" || !p.take("network") {
		return nil
	}
	text := p.peek(0).text
	prefix, err := netip.ParsePrefix(text)
	if err != nil {
		return fmt.Errorf("network %q: want ADDRESS/BITS, such as 10.0.0.0/8", clip(text))
	}
	p.rest = p.rest[1:]
	g.network = prefix.Masked().String()
	return nil
}
