package rbd

import (
	"fmt"
	"sync"
	"time"
)

// record is what the intent says.
type record struct {
	Version int `json:"version"` // 1
	deed
	Subject  string    `json:"subject"`
	Owner    owner     `json:"owner"`
	Cookie   string    `json:"cookie"` // of the lock that the owner holds or held
	Since    time.Time `json:"since"`
	Made     string    `json:"made,omitempty"`     // id of the image that the operation made, or renames
	Released bool      `json:"released,omitempty"` // the owner gave up and left the rest to the next one
	// The name was free: what has it now is what the operation makes. Of a revert: it may
	// have changed the image.
	Begun bool `json:"begun,omitempty"`
}

// atWork holds the cookies of the intents that this process works under, or is about
// to: an owner in this process is alive as long as its cookie is here.
var atWork sync.Map //nolint:gochecknoglobals // of the process, as the process id is

// looks tells whether the operation is to make an image and has not begun to: an image
// of the name was there before, and stays.
func (r record) looks() bool {
	return (r.Op == opCreate || r.Op == opClone || r.Op == opImport) && !r.Begun
}

// halfReverts tells whether the operation is a revert that may have changed the image,
// which holds some of either content until that is carried out.
func (r record) halfReverts() bool { return r.Op == opRevert && r.Begun }

// ours tells whether this process works under the intent.
func (r record) ours() bool {
	_, alive := atWork.Load(r.Cookie)
	return alive
}

// gone tells whether nobody works under the intent any more, as far as can be known
// here; then it stays so.
func (r record) gone() bool {
	if r.Owner.same() {
		return !r.ours()
	}
	return r.Owner.dead()
}

// heldError says that another operation on the same image is under way.
type heldError struct{ record record }

func (h *heldError) Error() string {
	return fmt.Sprintf("%s is under way since %s by %s: try again when it is done",
		h.record.Op, h.record.Since.Format(time.RFC3339), h.record.Owner)
}
func (h *heldError) Unwrap() error { return ErrInUse }
