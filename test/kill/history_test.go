package kill_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The history of what was asked of volumes and answered must be that of one
// register a volume: its size, whether it has its snapshot, and what guests wrote.

type call struct {
	id    string // of the volume, and of its snapshot
	op    string // create, clone, extend, delete, snap, unsnap or get; a guest's read or write
	size  int    // bytes; of create, clone and extend
	stamp int64  // of write
}

// result is an answer as the model reads it.
type result struct {
	unknown bool // it may have happened, now or at any later time
	said    string
	status  int
	got     register // of get and read
}

// register is what is known of a volume.
type register struct {
	size  int // bytes; 0: there is none
	snap  bool
	stamp int64 // what a guest wrote last, 0 of an image, or anyStamp
}

// anyStamp is that of a clone that nobody has read: it depends on its source.
const anyStamp = -1

// answered reads an answer. What a sidecar could not say, or was killed before it
// said, is open.
func answered(a answer, err error) result {
	if err != nil || a.status == http.StatusServiceUnavailable || a.status == http.StatusGatewayTimeout {
		return result{unknown: true}
	}
	r := result{status: a.status}
	if a.status >= http.StatusBadRequest {
		r.said = a.String()
	}
	if size, ok := a.body["size_bytes"].(float64); ok {
		snapshots, _ := a.body["snapshots"].([]any)
		r.got = register{size: int(size), snap: slices.ContainsFunc(snapshots, func(s any) bool {
			return strings.HasPrefix(s.(map[string]any)["name"].(string), "snapshot-")
		})}
	}
	return r
}

// carriedOut is what a volume is after a call that is carried out.
func (have register) carriedOut(c call) register {
	there := have.size != 0
	switch {
	case c.op == "delete":
		return register{}
	case c.op == "create" && !there:
		return register{size: c.size}
	case c.op == "clone" && !there:
		return register{size: c.size, stamp: anyStamp}
	case c.op == "write" && there:
		have.stamp = c.stamp
	case c.op == "extend" && there:
		have.size = max(have.size, c.size)
	case c.op == "snap" && there:
		have.snap = true
	case c.op == "unsnap":
		have.snap = false
	}
	return have
}

// step is every state that a volume of the given state may be in after a call with
// that result.
func step(state, input, output any) []any {
	have, c, r := state.(register), input.(call), output.(result)
	after := have.carriedOut(c)
	switch {
	case r.unknown && after == have:
		return []any{have}
	case r.unknown:
		return []any{have, after}
	case c.op == "clone" && slices.Contains([]int{http.StatusBadRequest, http.StatusNotFound, http.StatusConflict}, r.status):
		return []any{have} // the source has grown, is not there, or is another one by now
	case have.allows(c, r):
		if c.op == "read" && r.status == http.StatusOK {
			after.stamp = r.got.stamp
		}
		return []any{after}
	}
	return nil
}

// allows tells whether a volume of that state can have that answer.
func (have register) allows(c call, r result) bool {
	there := have.size != 0
	switch c.op {
	case "create", "clone":
		return r.status == http.StatusCreated && !there ||
			r.status == http.StatusOK && have.size == c.size ||
			r.status == http.StatusConflict && there && have.size != c.size
	case "extend":
		return r.status == http.StatusOK && there && have.size <= c.size ||
			r.status == http.StatusNotFound && !there ||
			r.status == http.StatusBadRequest && have.size > c.size
	case "snap":
		return r.status == http.StatusCreated && there && !have.snap ||
			r.status == http.StatusOK && have.snap ||
			r.status == http.StatusNotFound && !there
	case "delete", "unsnap":
		return r.status == http.StatusNoContent
	case "get":
		return r.status == http.StatusOK && there && have.size == r.got.size && have.snap == r.got.snap ||
			r.status == http.StatusNotFound && !there
	case "read":
		return r.status == http.StatusOK && there && (have.stamp == r.got.stamp || have.stamp == anyStamp) ||
			r.status == http.StatusNotFound && !there
	case "write":
		return r.status == http.StatusOK && there || r.status == http.StatusNotFound && !there
	}
	return false
}

func registers() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{register{}} },
		Step: step,
		Partition: func(history []porcupine.Operation) [][]porcupine.Operation {
			of := map[string][]porcupine.Operation{}
			for _, o := range history {
				id := o.Input.(call).id
				of[id] = append(of[id], o)
			}
			var parts [][]porcupine.Operation
			for _, part := range of {
				parts = append(parts, part)
			}
			return parts
		},
		DescribeOperation: func(input, output any) string { return fmt.Sprintf("%+v → %+v", input, output) },
	}
	return m.ToModel()
}

// history collects the calls of several workers.
type history struct {
	mu    sync.Mutex
	begin time.Time
	ops   []porcupine.Operation
	open  int
}

// ask makes a call of a sidecar and records it.
func (h *history) ask(ctx context.Context, worker int, c call, s *sidecar) answer {
	method, path, body := http.MethodGet, "/v1/volumes/"+c.id, ""
	switch c.op {
	case "extend":
		method, path, body = http.MethodPost, path+"/extend", fmt.Sprintf(`{"size_bytes":%d}`, c.size)
	case "delete":
		method = http.MethodDelete
	case "snap":
		method, path = http.MethodPut, path+"/snapshots/"+c.id
	case "unsnap":
		method, path = http.MethodDelete, path+"/snapshots/"+c.id
	}
	return h.send(ctx, worker, c, s, method, path, body)
}

func (h *history) send(ctx context.Context, worker int, c call, s *sidecar, method, path, body string) (a answer) {
	h.record(worker, c, func() result {
		var err error
		a, err = s.ask(ctx, method, path, body)
		return answered(a, err)
	})
	return a
}

// record makes a call and notes when it began, when it ended, and how.
func (h *history) record(worker int, c call, act func() result) result {
	called := int64(time.Since(h.begin))
	r := act()
	returned := int64(time.Since(h.begin))
	if r.unknown {
		returned = math.MaxInt64
		if c.op == "get" || c.op == "read" {
			return r // says nothing
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.unknown {
		h.open++
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: worker, Input: c, Output: r, Call: called, Return: returned})
	return r
}

// check fails the test unless the history is one of registers.
func (h *history) check(t *testing.T) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	verdict, info := porcupine.CheckOperationsVerbose(registers(), h.ops, 2*time.Minute)
	t.Logf("%d calls, %d of them with an open end: %s", len(h.ops), h.open, verdict)
	if verdict == porcupine.Ok {
		return
	}
	file := t.ArtifactDir() + "/history.html"
	for _, part := range registers().Partition(h.ops) {
		if !porcupine.CheckOperations(registers(), part) {
			for _, o := range part {
				t.Logf("%v-%v %s", time.Duration(o.Call), time.Duration(o.Return), registers().DescribeOperation(o.Input, o.Output))
			}
		}
	}
	t.Error(errors.Join(fmt.Errorf("the history is not that of one register a volume (%s), see %s", verdict, file), porcupine.VisualizePath(registers(), info, file)))
}

// TestHistoryNotices holds the check itself: it refuses histories with a fault.
func TestHistoryNotices(t *testing.T) {
	create, remove, get := call{op: "create", size: 1}, call{op: "delete"}, call{op: "get"}
	clone, snap, unsnap := call{op: "clone", size: 1}, call{op: "snap"}, call{op: "unsnap"}
	write, read := call{op: "write", stamp: 7}, call{op: "read"}
	made, gone := result{status: http.StatusCreated}, result{status: http.StatusNoContent}
	there, not := result{status: http.StatusOK, got: register{size: 1}}, result{status: http.StatusNotFound}
	snapped := result{status: http.StatusOK, got: register{size: 1, snap: true}}
	seven := result{status: http.StatusOK, got: register{stamp: 7}}
	for name, tt := range map[string]struct {
		in   []call
		out  []result
		want porcupine.CheckResult
	}{
		"refused":                 {[]call{clone, get}, []result{{status: http.StatusNotFound}, not}, porcupine.Ok},
		"refused, and made":       {[]call{clone, get}, []result{{status: http.StatusNotFound}, there}, porcupine.Illegal},
		"failed":                  {[]call{clone}, []result{{status: http.StatusInternalServerError}}, porcupine.Illegal},
		"well":                    {[]call{create, get, remove, get}, []result{made, there, gone, not}, porcupine.Ok},
		"lost":                    {[]call{create, get}, []result{made, not}, porcupine.Illegal},
		"resurrected":             {[]call{create, remove, get}, []result{made, gone, there}, porcupine.Illegal},
		"made twice":              {[]call{create, create}, []result{made, made}, porcupine.Illegal},
		"open, and happened":      {[]call{create, get}, []result{{unknown: true}, there}, porcupine.Ok},
		"open, and did not":       {[]call{create, get}, []result{{unknown: true}, not}, porcupine.Ok},
		"a snapshot":              {[]call{create, snap, get, unsnap, get}, []result{made, made, snapped, gone, there}, porcupine.Ok},
		"a snapshot lost":         {[]call{create, snap, get}, []result{made, made, there}, porcupine.Illegal},
		"a snapshot that stays":   {[]call{create, snap, unsnap, get}, []result{made, made, gone, snapped}, porcupine.Illegal},
		"a write":                 {[]call{create, write, read}, []result{made, there, seven}, porcupine.Ok},
		"a write lost":            {[]call{create, write, read}, []result{made, there, there}, porcupine.Illegal},
		"a write, open":           {[]call{create, write, read}, []result{made, {unknown: true}, there}, porcupine.Ok},
		"content of a forgone":    {[]call{create, write, remove, create, read}, []result{made, there, gone, made, seven}, porcupine.Illegal},
		"a clone's content":       {[]call{clone, read, read}, []result{made, seven, seven}, porcupine.Ok},
		"a clone's content lost":  {[]call{clone, read, read}, []result{made, seven, there}, porcupine.Illegal},
		"a snapshot of a forgone": {[]call{create, snap, remove, create, get}, []result{made, made, gone, made, snapped}, porcupine.Illegal},
	} {
		var ops []porcupine.Operation
		for i := range tt.in {
			o := porcupine.Operation{Input: tt.in[i], Output: tt.out[i], Call: int64(2 * i), Return: int64(2*i + 1)}
			if tt.out[i].unknown {
				o.Return = math.MaxInt64
			}
			ops = append(ops, o)
		}
		if got := porcupine.CheckOperationsTimeout(registers(), ops, time.Minute); got != tt.want {
			t.Errorf("%s: %s, want %s", name, got, tt.want)
		}
	}
}
