package libvirtsecret

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"

	"libvirt.org/go/libvirt"

	"rbdctl/internal/fault"
)

// The kinds of failure that this package returns; see package fault.
var (
	ErrInvalid        = fault.ErrInvalid
	ErrNotFound       = fault.ErrNotFound
	ErrExists         = fault.ErrExists
	ErrInUse          = fault.ErrInUse
	ErrDenied         = fault.ErrDenied
	ErrUnavailable    = fault.ErrUnavailable
	ErrUnsupported    = fault.ErrUnsupported
	ErrOutcomeUnknown = fault.ErrOutcomeUnknown
)

// wrap makes err a *fault.Error of op on subject. Nil stays nil.
func wrap(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	return &fault.Error{Op: op, Subject: printable(subject), Kind: kindOf(err), Err: plain(err)}
}

// kindOf is the kind of err: the one that it carries, or the one that libvirt's
// code stands for, or nil. It is the only place that reads libvirt's codes.
func kindOf(err error) error {
	for _, kind := range []error{
		ErrOutcomeUnknown, ErrInvalid, ErrNotFound, ErrExists,
		ErrInUse, ErrDenied, ErrUnavailable, ErrUnsupported,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	var native libvirt.Error
	if !errors.As(err, &native) {
		return nil
	}
	switch native.Code {
	case libvirt.ERR_NO_SECRET, libvirt.ERR_NO_DOMAIN, libvirt.ERR_NO_STORAGE_POOL:
		return ErrNotFound
	case libvirt.ERR_INVALID_SECRET, // said of the value of a private secret
		libvirt.ERR_AUTH_FAILED, libvirt.ERR_AUTH_CANCELLED, libvirt.ERR_AUTH_UNAVAILABLE,
		libvirt.ERR_OPERATION_DENIED, libvirt.ERR_ACCESS_DENIED:
		return ErrDenied
	case libvirt.ERR_NO_SUPPORT, libvirt.ERR_OPERATION_UNSUPPORTED,
		libvirt.ERR_ARGUMENT_UNSUPPORTED, libvirt.ERR_CONFIG_UNSUPPORTED:
		return ErrUnsupported
	case libvirt.ERR_INVALID_ARG, libvirt.ERR_XML_ERROR, libvirt.ERR_XML_DETAIL,
		libvirt.ERR_XML_INVALID_SCHEMA, libvirt.ERR_NO_CONNECT, libvirt.ERR_CONF_SYNTAX:
		return ErrInvalid
	case libvirt.ERR_RPC, libvirt.ERR_GNUTLS_ERROR, libvirt.ERR_SSH, libvirt.ERR_LIBSSH,
		libvirt.ERR_UNKNOWN_HOST, libvirt.ERR_OPERATION_TIMEOUT, libvirt.ERR_INVALID_CONN:
		return ErrUnavailable
	case libvirt.ERR_SYSTEM_ERROR:
		// An errno is behind it, which the binding drops; the text remains.
		if strings.Contains(native.Message, "Permission denied") {
			return ErrDenied
		}
		return ErrUnavailable
	case libvirt.ERR_INTERNAL_ERROR:
		return kindOfInternal(native)
	}
	return nil
}

// kindOfInternal reads the texts that libvirt has under its code for everything
// else. They are libvirt's, checked against a real daemon by this package's tests.
func kindOfInternal(native libvirt.Error) error {
	switch {
	case strings.Contains(native.Message, "already defined for use with"):
		return ErrExists
	case strings.Contains(native.Message, "cannot change private flag"):
		return ErrInvalid
	case native.Domain == libvirt.FROM_NONE: // the binding's own: the library can't be loaded
		return ErrUnsupported
	case native.Domain == libvirt.FROM_RPC, native.Domain == libvirt.FROM_REMOTE:
		return ErrUnavailable
	}
	return nil
}

// plain gives libvirt's sentence instead of the binding's rendering of its codes.
// The cause stays reachable.
func plain(err error) error {
	native, ok := err.(libvirt.Error) //nolint:errorlint // only the innermost error is to be rendered anew
	if !ok {
		return err
	}
	if native.Code == libvirt.ERR_INTERNAL_ERROR && native.Domain == libvirt.FROM_NONE {
		return &sentence{native, "libvirt's library can't be loaded (" + oneLine(native.Message) +
			"): install libvirt0, or the package of your system that has libvirt.so.0"}
	}
	return &sentence{native, printable(oneLine(native.Message))}
}

type sentence struct {
	cause libvirt.Error
	text  string
}

func (s *sentence) Error() string { return s.text }
func (s *sentence) Unwrap() error { return s.cause }

func isKind(err, kind error) bool { return errors.Is(kindOf(err), kind) }

// isNoSecret is true for libvirt's answer that a secret, or its value, is not there.
func isNoSecret(err error) bool { return errors.Is(err, libvirt.ERR_NO_SECRET) }

// ended is the error of a call that was not begun, or not continued, because ctx
// has ended.
func ended(ctx context.Context, kind error) error {
	return fmt.Errorf("%w: %w", kind, context.Cause(ctx))
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// printable keeps what a caller passed in, such as a usage name, from reaching a
// terminal as it is.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, text)
}
