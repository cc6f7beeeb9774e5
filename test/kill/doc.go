// Package kill proves that rbdctl may be killed at any instruction: it kills the
// real binary, built with the tag failpoint, before and after every call of
// librados and librbd, and at random moments inside those that do the work. The
// same is then done again: by the same command, of which what is in the pools is
// compared with what an undisturbed run leaves, or by another sidecar, of which
// sizes, parents and content are, and whether anything is left over at the end.
package kill
