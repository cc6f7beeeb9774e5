package rbd

import (
	"errors"
	"syscall"
	"testing"

	"rbdctl/internal/fault"
)

// TestNoAnswerGoesBeforeARefusal: what was refused, and of which a part was not answered,
// may be half done. It is not told as a refusal, nor counted as one.
func TestNoAnswerGoesBeforeARefusal(t *testing.T) {
	refused := fault.New(ErrInUse, "it is open")
	for _, also := range []error{&nativeError{syscall.ETIMEDOUT}, &nativeError{syscall.ESHUTDOWN}, fault.New(ErrUnavailable, "the lease was lost")} {
		err := errors.Join(refused, also)
		var told *fault.Error
		if !errors.As(wrap("delete", "p/v", err), &told) || !errors.Is(told.Kind, ErrUnavailable) || refusal(err) {
			t.Errorf("%q is told as %v, and is a refusal: %t", err, told.Kind, refusal(err))
		}
	}
	if !refusal(refused) {
		t.Error("a refusal alone is none")
	}
}
