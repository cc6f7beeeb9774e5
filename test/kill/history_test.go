package kill_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"
)

// The history of what was asked of volumes and answered must be that of one
// register a volume: its size, 0 when it is not there.

type call struct {
	id   string // of the volume
	op   string // create, clone, extend, delete or get
	size int    // bytes; of create, clone and extend
}

// result is an answer as the model reads it.
type result struct {
	unknown bool // it may have happened, now or at any later time
	said    string
	status  int
	size    int // bytes; of get
}

// answered reads an answer. What a sidecar could not say, or was killed before it
// said, is open.
func answered(a answer, err error) result {
	if err != nil || a.status >= http.StatusInternalServerError {
		return result{unknown: true}
	}
	r := result{status: a.status}
	if a.status >= http.StatusBadRequest {
		r.said = a.String()
	}
	if size, ok := a.body["size_bytes"].(float64); ok {
		r.size = int(size)
	}
	return r
}

// step is every size that a volume of the given size may have after a call with
// that result.
func step(state, input, output any) []any {
	have, c, r := state.(int), input.(call), output.(result)
	after := map[string]int{"create": c.size, "clone": c.size, "extend": max(have, c.size), "delete": 0, "get": have}[c.op]
	if (c.op == "create" || c.op == "clone") && have != 0 || c.op == "extend" && have == 0 {
		after = have
	}
	if r.unknown {
		if after == have {
			return []any{have}
		}
		return []any{have, after}
	}
	if c.op == "clone" && r.status >= http.StatusBadRequest {
		return []any{have} // the source is not there, has grown, or is another one by now
	}
	possible := false
	switch c.op {
	case "create", "clone":
		possible = r.status == http.StatusCreated && have == 0 ||
			r.status == http.StatusOK && have == c.size ||
			r.status == http.StatusConflict && have != 0 && have != c.size
	case "extend":
		possible = r.status == http.StatusOK && have != 0 && have <= c.size ||
			r.status == http.StatusNotFound && have == 0 ||
			r.status == http.StatusBadRequest && have > c.size
	case "delete":
		possible = r.status == http.StatusNoContent
	case "get":
		possible = r.status == http.StatusOK && have == r.size && have != 0 ||
			r.status == http.StatusNotFound && have == 0
	}
	if !possible {
		return nil
	}
	return []any{after}
}

func registers() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{0} },
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
	}
	return h.send(ctx, worker, c, s, method, path, body)
}

func (h *history) send(ctx context.Context, worker int, c call, s *sidecar, method, path, body string) answer {
	called := time.Since(h.begin)
	a, err := s.ask(ctx, method, path, body)
	r := answered(a, err)
	returned := int64(time.Since(h.begin))
	if r.unknown {
		returned = math.MaxInt64
		if c.op == "get" {
			return a // says nothing
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.unknown {
		h.open++
	}
	h.ops = append(h.ops, porcupine.Operation{ClientId: worker, Input: c, Output: r, Call: int64(called), Return: returned})
	return a
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
	create, remove, get := call{"v", "create", 1}, call{"v", "delete", 0}, call{"v", "get", 0}
	clone := call{"v", "clone", 1}
	made, gone := result{status: http.StatusCreated}, result{status: http.StatusNoContent}
	there, not := result{status: http.StatusOK, size: 1}, result{status: http.StatusNotFound}
	for name, tt := range map[string]struct {
		in   []call
		out  []result
		want porcupine.CheckResult
	}{
		"refused":            {[]call{clone, get}, []result{{status: http.StatusNotFound}, not}, porcupine.Ok},
		"refused, and made":  {[]call{clone, get}, []result{{status: http.StatusNotFound}, there}, porcupine.Illegal},
		"well":               {[]call{create, get, remove, get}, []result{made, there, gone, not}, porcupine.Ok},
		"lost":               {[]call{create, get}, []result{made, not}, porcupine.Illegal},
		"resurrected":        {[]call{create, remove, get}, []result{made, gone, there}, porcupine.Illegal},
		"made twice":         {[]call{create, create}, []result{made, made}, porcupine.Illegal},
		"open, and happened": {[]call{create, get}, []result{{unknown: true}, there}, porcupine.Ok},
		"open, and did not":  {[]call{create, get}, []result{{unknown: true}, not}, porcupine.Ok},
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
