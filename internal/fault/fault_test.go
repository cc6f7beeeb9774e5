package fault_test

import (
	"errors"
	"io"
	"testing"

	"rbdctl/internal/fault"
)

func TestErrorKeepsKindAndCause(t *testing.T) {
	err := error(&fault.Error{Op: "snap unprotect", Subject: "volumes/v@s", Kind: fault.ErrInUse, Err: io.ErrUnexpectedEOF})
	if !errors.Is(err, fault.ErrInUse) || !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("kind or cause lost in %#v", err)
	}
	if errors.Is(err, fault.ErrNotFound) {
		t.Error("is of a kind that nobody gave it")
	}
	if got, want := err.Error(), "snap unprotect volumes/v@s: unexpected EOF"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}

func TestNewSpeaksOnlyItsText(t *testing.T) {
	err := fault.New(fault.ErrInvalid, "size 0: want at least 1 byte")
	if !errors.Is(err, fault.ErrInvalid) {
		t.Error("kind lost")
	}
	if got, want := err.Error(), "size 0: want at least 1 byte"; got != want {
		t.Errorf("Error() = %q, want %q", got, want)
	}
}
