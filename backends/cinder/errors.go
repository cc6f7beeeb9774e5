package cinder

import "rbdctl/internal/fault"

// The kinds of failure that this package returns; see package fault.
var (
	ErrInvalid     = fault.ErrInvalid
	ErrNotFound    = fault.ErrNotFound
	ErrExists      = fault.ErrExists
	ErrInUse       = fault.ErrInUse
	ErrUnavailable = fault.ErrUnavailable
	ErrUnsupported = fault.ErrUnsupported
)
