package main

import (
	"context"
	"io"
	"os"
)

// openStream makes the reads of a pipe, a terminal or a device end with ctx: a
// read that waits for its writer can't be interrupted otherwise. What is read
// meanwhile is lost, and the goroutine that waits is left to the end of the
// program. A regular file is returned as it is.
func openStream(ctx context.Context, in io.Reader) io.ReadCloser {
	if file, ok := in.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	out, pipe := io.Pipe()
	stop := context.AfterFunc(ctx, func() { _ = pipe.CloseWithError(context.Cause(ctx)) })
	go func() {
		// Only the methods of a Reader: with those of a File the copy is in small pieces.
		_, err := io.CopyBuffer(pipe, struct{ io.Reader }{in}, make([]byte, streamBuffer))
		_ = pipe.CloseWithError(err)
	}()
	return &stream{PipeReader: out, stop: stop}
}

// streamBuffer is as much as is read from a stream at a time.
const streamBuffer = 1 << 20

// stream is the end of a pipe within the program.
type stream struct {
	*io.PipeReader
	stop func() bool
}

// Close ends the copying with its next read. The file that is read stays open: to
// close it would wait for its writer.
func (s *stream) Close() error {
	s.stop()
	return s.PipeReader.Close()
}
