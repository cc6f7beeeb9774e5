package rbd

import (
	"errors"
	"syscall"

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

// wrap makes err a *fault.Error of op on subject. A kind that err already has
// stays; otherwise the errno that it carries decides. Nil stays nil.
func wrap(op, subject string, err error) error {
	if err == nil {
		return nil
	}
	kind := ownKind(err)
	if (errors.Is(err, errShutOut) || errors.Is(err, errNoAnswer)) && !errors.Is(kind, ErrOutcomeUnknown) {
		kind = ErrUnavailable // whatever else went wrong follows from that, or is not all
	}
	if kind == nil {
		kind = kindOf(err)
	}
	return &fault.Error{Op: op, Subject: subject, Kind: kind, Err: err}
}

// ownKind finds the kind that an error of ours carries: of several that which says least, for
// the others mean that nothing was changed.
func ownKind(err error) error {
	for _, kind := range []error{
		ErrOutcomeUnknown, ErrUnavailable, ErrInvalid, ErrNotFound,
		ErrExists, ErrInUse, ErrDenied, ErrUnsupported,
	} {
		if errors.Is(err, kind) {
			return kind
		}
	}
	return nil
}

// kindOf reads the errno that go-ceph errors carry. Its sign differs between
// go-ceph's packages, so only the magnitude counts.
func kindOf(err error) error {
	switch errno(err) {
	case syscall.ENOENT:
		return ErrNotFound
	case syscall.EEXIST:
		return ErrExists
	case syscall.EBUSY, syscall.ENOTEMPTY:
		return ErrInUse
	case syscall.EPERM, syscall.EACCES:
		return ErrDenied
	case syscall.ETIMEDOUT, syscall.ENOTCONN, syscall.ESHUTDOWN,
		syscall.EDQUOT, syscall.ENOSPC: // space comes back: back off and retry
		return ErrUnavailable
	case syscall.ENOSYS, syscall.EOPNOTSUPP:
		return ErrUnsupported
	case syscall.EINVAL, syscall.ERANGE, syscall.EDOM:
		return ErrInvalid
	}
	return nil
}

// nativeError is what a call of the libraries failed with.
type nativeError struct{ code syscall.Errno }

// words are for an errno whose own text misleads.
var words = map[syscall.Errno]string{ //nolint:gochecknoglobals // a table of facts
	syscall.ESHUTDOWN: "this connection was blocklisted: try again",
	syscall.ETIMEDOUT: "no answer in time",
	syscall.EDQUOT:    "the pool is at its quota: raise it with `ceph osd pool set-quota`, or remove something",
	syscall.ENOSPC:    "the cluster is full: add OSDs, or remove something",
}

func (e *nativeError) Error() string {
	if text, ok := words[e.code]; ok {
		return text
	}
	return e.code.Error()
}

// Is tells whether target is the same errno, so that errors.Is finds one among
// joined errors.
func (e *nativeError) Is(target error) bool {
	other, ok := target.(*nativeError)
	return ok && other.code == e.code
}

// errShutOut is in an error when this connection was blocklisted meanwhile.
var errShutOut error = &nativeError{syscall.ESHUTDOWN}

// errNoAnswer is in the error of a call that the OSDs did not answer in time.
var errNoAnswer error = &nativeError{syscall.ETIMEDOUT}

// ErrorCode is the errno, negative as in C.
func (e *nativeError) ErrorCode() int { return -int(e.code) }

// translate puts an errno that go-ceph returned into words, without go-ceph's
// "rados: ret=-2, ".
func translate(err error) error {
	var known *nativeError
	var explained *refusalError
	code := errno(err)
	if code == 0 || errors.As(err, &known) || errors.As(err, &explained) {
		return err
	}
	return &nativeError{code}
}

// errno is the positive errno inside err, or 0.
func errno(err error) syscall.Errno {
	var coded interface{ ErrorCode() int }
	if !errors.As(err, &coded) {
		return 0
	}
	code := coded.ErrorCode()
	return syscall.Errno(max(code, -code))
}

// isErrno tells whether err carries one of the numbers.
func isErrno(err error, numbers ...syscall.Errno) bool {
	code := errno(err)
	for _, n := range numbers {
		if code == n {
			return true
		}
	}
	return false
}
