package main

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"rbdctl/internal/fault"
)

// exits maps the kind of an error to the exit status and to the word that JSON
// output has for it; the first match wins, so those that say least are first. An error of no
// kind is 1, "failed".
//
//nolint:gochecknoglobals // a constant table
var exits = []struct {
	kind    error
	code    int
	word    string
	meaning string
}{
	{fault.ErrOutcomeUnknown, 9, "outcome_unknown", "it may or may not have happened: look, or run it again"},
	{fault.ErrUnavailable, 7, "unavailable", "the cluster or libvirt does not answer: try again later"},
	{fault.ErrInvalid, 2, "invalid", "the command line, a file or a value is wrong"},
	{fault.ErrNotFound, 3, "not_found", "what is named does not exist"},
	{fault.ErrExists, 4, "exists", "it exists, and is different"},
	{fault.ErrInUse, 5, "in_use", "somebody uses it"},
	{fault.ErrDenied, 6, "denied", "the entity's key or caps don't allow it"},
	{fault.ErrUnsupported, 8, "unsupported", "this release of Ceph or libvirt can't do it"},
}

// statusRows are the exit statuses in words.
func statusRows() [][2]string {
	rows := [][2]string{{"0", "success"}, {"1", "any other failure"}}
	for _, e := range exits {
		rows = append(rows, [2]string{strconv.Itoa(e.code), e.meaning})
	}
	slices.SortFunc(rows, func(a, b [2]string) int { return strings.Compare(a[0], b[0]) })
	return append(rows, [2]string{"130, 143", "ended by Ctrl-C, or by SIGTERM"})
}

// statusError ends the program with a status of the command's own, without a
// message: the plan command's 2 and 3.
type statusError int

func (s statusError) Error() string { return "" }

func exitStatus(err error) int {
	var stop *signalError
	if errors.As(err, &stop) {
		return stop.status()
	}
	var status statusError
	if errors.As(err, &status) {
		return int(status)
	}
	for _, e := range exits {
		if errors.Is(err, e.kind) {
			return e.code
		}
	}
	return 1
}

// kindWord is the word that JSON output has for the kind of err.
func kindWord(err error) string {
	for _, e := range exits {
		if errors.Is(err, e.kind) {
			return e.word
		}
	}
	var stop *signalError
	if errors.As(err, &stop) {
		return "interrupted"
	}
	return "failed"
}
