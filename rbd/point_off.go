//go:build !failpoint

package rbd

// point is a place at which a fault can be injected; see point_on.go. In a
// product build it is nothing.
func point(string, string) {}
