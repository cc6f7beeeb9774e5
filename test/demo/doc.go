// Package demo holds contrib/demo to its word: that it goes from nothing to a
// booted guest and says so truly, that it fails when a claim is not true, and that
// it leaves nothing behind, interrupted or not.
//
// The demo runs as a person runs it, with the real daemons that it starts itself.
package demo
