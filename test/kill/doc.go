// Package kill proves that rbdctl may be killed at any instruction: it kills the
// real binary, built with the tag failpoint, before and after every call of
// librados and librbd, and at random moments inside librbd's clone, runs the
// same command again, and compares what is then in the pools with what an
// undisturbed run leaves.
package kill
