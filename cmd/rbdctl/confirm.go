package main

import (
	"bufio"
	"context"
	"fmt"
	"strings"

	"rbdctl/internal/fault"
)

// question is about something that will be lost for good.
type question struct {
	lost  string // what, in words
	name  string // what the answer must be
	given string // the answer of the command line; empty: none
}

// confirm demands the name of what will be lost: from the flag, or from the person
// at the terminal.
func (e *env) confirm(ctx context.Context, q question) error {
	if q.given == "" {
		if !interactive(e.in) {
			return fault.Newf(errUsage, "this removes %s for good: repeat its name with --confirm %s", q.lost, q.name)
		}
		answer, err := e.ask(ctx, fmt.Sprintf("this removes %s for good; type its name: ", q.lost))
		if err != nil {
			return err
		}
		q.given = answer
	}
	if q.given != q.name {
		return fault.Newf(errUsage, "the name to confirm is %s, not %q: nothing was removed", q.name, q.given)
	}
	return nil
}

// ask puts a question to the person at the terminal and returns the line that is
// the answer. It ends with ctx, too: with Ctrl-C.
func (e *env) ask(ctx context.Context, text string) (string, error) {
	if _, err := fmt.Fprint(e.err, text); err != nil {
		return "", err
	}
	in := openStream(ctx, e.in)
	defer in.Close()
	line, err := bufio.NewReader(in).ReadString('\n')
	if ctx.Err() != nil {
		_, _ = fmt.Fprintln(e.err) // the question's line has no end yet
	}
	return strings.TrimSpace(line), err
}
