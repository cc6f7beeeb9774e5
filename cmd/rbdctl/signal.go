package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

// signalError is why a context ended: the signal that the program got. To the
// packages below it is the cancellation that it causes.
type signalError struct{ signal syscall.Signal }

func (s *signalError) Error() string {
	if s.signal == syscall.SIGINT {
		return "interrupted"
	}
	return "ended by signal " + s.signal.String()
}

// Is makes a signal the cancellation that every package knows.
func (s *signalError) Is(target error) bool { return target == context.Canceled }

// status is what a shell has for a program that a signal ended: 130 for Ctrl-C.
func (s *signalError) status() int { return 128 + int(s.signal) }

// untilSignal returns a context that ends with the first SIGINT or SIGTERM. The
// second has the system's effect: it ends the program, wherever it is. That is
// safe, but leaves it to the next run to clear up.
func untilSignal(ctx context.Context) context.Context {
	ctx, cancel := context.WithCancelCause(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		got := <-signals
		signal.Stop(signals)
		if number, ok := got.(syscall.Signal); ok {
			cancel(&signalError{number})
		}
	}()
	return ctx
}

// signalOf returns the signal that ended ctx; nil if none did.
func signalOf(ctx context.Context) *signalError {
	var stop *signalError
	errors.As(context.Cause(ctx), &stop)
	return stop
}

// endedBy is err, with which a command ended after a signal. A command that did
// its work nevertheless has no error and does not come here.
func endedBy(stop *signalError, err error) error {
	if errors.As(err, new(*signalError)) {
		return err
	}
	return fmt.Errorf("%w: %w", stop, err)
}
