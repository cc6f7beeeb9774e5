// Package fault is the error vocabulary of rbdctl.
//
// Every failure that a caller can act on has one of eight kinds, chosen by what
// the caller does next and not by what went wrong. A kind is a sentinel, to be
// asked for with errors.Is; [Error] adds which operation failed on which object
// and keeps the cause. The public packages re-export the kinds that they
// return, as os does with its own, so errors.Is(err, rbd.ErrInUse) and
// errors.Is(err, fault.ErrInUse) mean the same.
//
// Numbers become kinds in one place per library: an errno of Ceph in package
// rbd, a code of libvirt in package libvirtsecret. Kinds become exit statuses in
// one place too, in cmd/rbdctl.
//
// This package knows no library and formats no key.
package fault

import (
	"errors"
	"fmt"
)

// The kinds. The comment says what a caller does with each.
var (
	ErrInvalid        = errors.New("invalid")         // fix the input
	ErrNotFound       = errors.New("not found")       // count a removal as done; else report
	ErrExists         = errors.New("already exists")  // compare, and accept if equal
	ErrInUse          = errors.New("in use")          // remove the dependents, or retry later
	ErrDenied         = errors.New("denied")          // fix caps or key; never retry
	ErrUnavailable    = errors.New("unavailable")     // back off and retry; a change may have happened
	ErrUnsupported    = errors.New("unsupported")     // use another way
	ErrOutcomeUnknown = errors.New("outcome unknown") // look, then decide; never assume failure
)

// Error says which operation failed on which object.
type Error struct {
	Op      string // the attempt, in the words of the Ceph tools: "snap unprotect"
	Subject string // the spec of the object: "volumes/volume-42@snap-7"; may be empty
	Kind    error  // one of the kinds above; nil when the cause fits none
	Err     error  // the cause, as the library gave it
}

// Error reads "op subject: cause".
func (e *Error) Error() string {
	if e.Subject == "" {
		return e.Op + ": " + e.Err.Error()
	}
	return e.Op + " " + e.Subject + ": " + e.Err.Error()
}

// Unwrap exposes the kind and the cause to errors.Is and errors.As.
func (e *Error) Unwrap() []error {
	if e.Kind == nil {
		return []error{e.Err}
	}
	return []error{e.Kind, e.Err}
}

// New returns an error of kind with text as its message: for what rbdctl itself
// finds wrong, where no library error is the cause.
func New(kind error, text string) error { return &refusal{kind: kind, text: text} }

// refusal is an error of our own making; its text stands alone.
type refusal struct {
	kind error
	text string
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.kind }

// Newf is New with a text made as fmt.Sprintf makes it. It wraps nothing.
func Newf(kind error, format string, args ...any) error {
	return New(kind, fmt.Sprintf(format, args...))
}
