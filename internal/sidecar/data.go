package sidecar

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"rbdctl/backends/cinder"
	"rbdctl/internal/fault"
	"rbdctl/rbd"
)

const contentType = "application/octet-stream"

// dataPath is the path of the one body that is not buffered.
const dataPath = "/v1/volumes/{id}/data"

func (a *api) registerData() {
	raw := map[string]*huma.MediaType{contentType: {Schema: &huma.Schema{Type: "string", Format: "binary"}}}
	huma.Register(a, operation(http.MethodGet, dataPath, "read-volume",
		"Read the content of a volume or of a snapshot of it, all of it; its length is announced",
		func(op *huma.Operation) {
			op.Responses["200"] = &huma.Response{Description: "The content", Content: raw}
		}), a.read)
	huma.Register(a, operation(http.MethodPut, dataPath, "write-volume",
		"Write content to a volume, from its beginning; the volume keeps its size",
		func(op *huma.Operation) {
			op.RequestBody = &huma.RequestBody{Required: true, Content: raw}
		}), a.write)
}

type readInput struct {
	ByID
	Snapshot string `query:"snapshot_id" doc:"Of the snapshot to read; without it, the volume as it is."`
}

// read answers with the content. What goes wrong before its first byte is a
// problem; after that the connection breaks before the announced length.
func (a *api) read(ctx context.Context, in *readInput) (*huma.StreamResponse, error) {
	size, err := asked(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (uint64, error) {
		return contentSize(ctx, v, in)
	})
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		_, w := humago.Unwrap(hctx)
		a.send(ctx, w, in, size)
	}}, nil
}

// send sends the content, size bytes.
func (a *api) send(ctx context.Context, w http.ResponseWriter, in *readInput, size uint64) {
	ctx, cancel := a.server.untilCut(ctx)
	defer cancel()
	out := &contentWriter{ctx: ctx, w: w, control: http.NewResponseController(w), size: size}
	defer context.AfterFunc(ctx, out.interrupt)()
	_, err := onCluster(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (struct{}, error) {
		return struct{}{}, v.Read(ctx, in.ID, in.Snapshot, out, nil)
	})
	out.end()
	if err == nil {
		return
	}
	if out.stalled.Load() { // the volume may still be read, which says no more
		err = errReceiver
	}
	exchangeOf(ctx).refuse(problemOf(err)) // sent only if nothing was
	if out.begun() {
		panic(http.ErrAbortHandler) // the one way to tell the client
	}
}

// contentSize is the length of what read will send.
func contentSize(ctx context.Context, v cinder.Volumes, in *readInput) (uint64, error) {
	volume, err := v.Get(ctx, in.ID)
	if err != nil || in.Snapshot == "" {
		return volume.Size, err
	}
	for _, s := range volume.Snapshots {
		if s.ID == in.Snapshot {
			return s.Size, nil
		}
	}
	return 0, fault.Newf(fault.ErrNotFound, "volume %s has no snapshot %s", in.ID, in.Snapshot)
}

type writeInput struct {
	ByID
	body   io.ReadCloser
	length int64 // -1: chunked
	w      http.ResponseWriter
}

// Resolve keeps the body for the handler: it is too large to be buffered.
func (i *writeInput) Resolve(ctx huma.Context) []error {
	r, w := humago.Unwrap(ctx)
	i.body, i.length, i.w = r.Body, r.ContentLength, w
	return nil
}

// Written is how much content went into a volume.
type Written struct {
	Bytes uint64 `json:"bytes"`
}

type writeOutput struct{ Body Written }

// write succeeds only when all of the announced body was written.
func (a *api) write(ctx context.Context, in *writeInput) (*writeOutput, error) {
	if in.length == 0 {
		return nil, problemOf(fault.New(fault.ErrInvalid, "there is no content: send it with its Content-Length, or chunked"))
	}
	// Not bounded by the client's connection: its end is the end of the body.
	ctx, cancel := a.server.detached(ctx)
	defer cancel()
	body := &contentReader{ctx: ctx, body: in.body, control: http.NewResponseController(in.w)}
	defer context.AfterFunc(ctx, body.interrupt)()
	src := rbd.Source{Reader: body}
	if in.length > 0 {
		src.Size = uint64(in.length)
	}
	n, err := onCluster(ctx, a.server, func(ctx context.Context, v cinder.Volumes) (uint64, error) {
		return v.Write(ctx, in.ID, src, nil)
	})
	if err != nil {
		in.w.Header().Set("Connection", "close") // the rest of the body is not read
	}
	return &writeOutput{Written{n}}, err
}

// untilCut is ctx, that of a client, which ends also when the server has no more
// time.
func (s *Server) untilCut(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(s.hard, cancel)
	return ctx, func() {
		stop()
		cancel()
	}
}

// contentReader reads the body of a request. A client that stops sending is an
// error after some time, one that disconnects at once, and so is the end of ctx;
// only the end of the body is its end.
type contentReader struct {
	ctx     context.Context
	body    io.Reader
	control *http.ResponseController
}

func (c *contentReader) Read(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, errStopped // also when the request has been answered without us
	}
	if err := c.control.SetReadDeadline(time.Now().Add(stallTime)); err != nil {
		return 0, err
	}
	if c.ctx.Err() != nil { // it may have ended, and interrupted, just before
		return 0, errStopped
	}
	n, err := c.body.Read(p)
	if err != nil && c.ctx.Err() != nil {
		return n, errStopped
	}
	switch { // not wrapped: to whoever reads by ReadFull, an unexpected end is an end
	case err == nil, errors.Is(err, io.EOF):
	case errors.Is(err, os.ErrDeadlineExceeded): // no fault of the content
		err = fault.Newf(fault.ErrUnavailable, "the sender of the content sent nothing for %s, and there is more to come: send it again", stallTime)
	default:
		err = fault.Newf(fault.ErrInvalid, "the content was cut off: %v", err)
	}
	if err != nil {
		_ = c.control.SetReadDeadline(time.Time{})
	}
	return n, err
}

// interrupt ends a Read that waits for the client.
func (c *contentReader) interrupt() { _ = c.control.SetReadDeadline(time.Unix(1, 0)) }

var errStopped = fault.New(fault.ErrUnavailable, "the sidecar was stopped before all of the content had come")

// contentWriter sends content, its length before it.
type contentWriter struct {
	ctx     context.Context
	w       http.ResponseWriter
	control *http.ResponseController
	size    uint64
	sent    atomic.Uint64 // the request may be answered without whoever writes
	stalled atomic.Bool
}

var errReceiver = fault.Newf(fault.ErrUnavailable, "the receiver of the content took nothing for %s, and there is more to come: ask for it again", stallTime)

// errLeft is no fault of ours: Cinder reads the beginning of a volume, say, and no more.
var errLeft = fault.New(fault.ErrUnavailable, "the receiver of the content went away before it had all")

func (c *contentWriter) begun() bool { return c.sent.Load() > 0 }

func (c *contentWriter) Write(p []byte) (int, error) {
	if c.ctx.Err() != nil {
		return 0, errStopped // also when the request has been answered without us
	}
	if !c.begun() {
		c.w.Header().Set("Content-Type", contentType)
		c.w.Header().Set("Content-Length", strconv.FormatUint(c.size, 10))
		c.w.WriteHeader(http.StatusOK)
	}
	deadline := time.Now().Add(stallTime)
	if err := c.control.SetWriteDeadline(deadline); err != nil {
		return 0, err
	}
	if c.ctx.Err() != nil { // it may have ended, and interrupted, just before
		return 0, errStopped
	}
	n, err := c.w.Write(p)
	c.sent.Add(uint64(n))
	if errors.Is(err, os.ErrDeadlineExceeded) && !time.Now().Before(deadline) { // else it was interrupted
		c.stalled.Store(true)
		err = errReceiver
	}
	if errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET) {
		err = errLeft
	}
	return n, err
}

// interrupt ends a Write that waits for the client.
func (c *contentWriter) interrupt() { _ = c.control.SetWriteDeadline(time.Unix(1, 0)) }

// end lets the connection be used again.
func (c *contentWriter) end() { _ = c.control.SetWriteDeadline(time.Time{}) }
