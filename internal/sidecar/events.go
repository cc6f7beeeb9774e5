package sidecar

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

const (
	eventPause = time.Second      // between two looks at a job
	aliveTime  = 15 * time.Second // after which a comment keeps the stream alive
)

func (a *api) registerEvents() {
	huma.Register(a, operation(http.MethodGet, "/v1/jobs/{job_id}/events", "watch-job",
		"Follow a job as server-sent events, each with the job as it is, until nothing more happens to it",
		func(op *huma.Operation) {
			op.Responses["200"] = &huma.Response{
				Description: "Events named job, whose data is a Job; and one named problem, whose data is a Problem, if looking fails",
				Content:     map[string]*huma.MediaType{"text/event-stream": {Schema: &huma.Schema{Type: "string"}}},
			}
		}), a.events)
}

// events answers with a problem if the job cannot be looked at to begin with.
func (a *api) events(ctx context.Context, in *ByJobID) (*huma.StreamResponse, error) {
	job, err := a.lookAtJob(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &huma.StreamResponse{Body: func(hctx huma.Context) {
		_, w := humago.Unwrap(hctx)
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "no-store")
		a.follow(ctx, job, eventWriter{w, http.NewResponseController(w)})
	}}, nil
}

// follow sends a job whenever it has changed, until it is over, the client has
// gone, or the server stops.
func (a *api) follow(ctx context.Context, job Job, out eventWriter) {
	tick := time.NewTicker(eventPause)
	defer tick.Stop()
	var last []byte
	sent := time.Now()
	for {
		now, err := json.Marshal(job)
		switch {
		case err != nil:
			return
		case !bytes.Equal(now, last):
			err = out.send("event: job\ndata: " + string(now) + "\n\n")
			last, sent = now, time.Now()
		case time.Since(sent) > aliveTime:
			err = out.send(": still there\n\n")
			sent = time.Now()
		}
		if err != nil || job.over() {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		case <-a.server.stopping:
			return
		}
		before := job
		if job, err = a.lookAtJob(ctx, job.ID); before.endsUnseen(err) {
			job, err = before.ended(), nil
		}
		if err != nil {
			p, _ := json.Marshal(problemOf(err).with(exchangeOf(ctx).id))
			_ = out.send(fmt.Sprintf("event: problem\ndata: %s\n\n", p))
			return
		}
	}
}

// eventWriter sends events, each at once.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (e eventWriter) send(event string) error {
	if err := e.control.SetWriteDeadline(time.Now().Add(stallTime)); err != nil {
		return err
	}
	if _, err := e.w.Write([]byte(event)); err != nil {
		return err
	}
	return e.control.Flush()
}
