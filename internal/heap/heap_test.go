package heap

import (
	"os"
	"runtime"
	"sync"
	"syscall"
	"testing"
)

// A thread that native calls at the same time have left is not kept, and the first one is.
func TestTrimEndsIdleThreads(t *testing.T) {
	const calls = 64
	var r, w [calls]int
	for i := range calls {
		var pipe [2]int
		if err := syscall.Pipe(pipe[:]); err != nil {
			t.Fatal(err)
		}
		r[i], w[i] = pipe[0], pipe[1]
	}
	var begun, done sync.WaitGroup
	begun.Add(calls)
	for i := range calls {
		done.Go(func() {
			begun.Done()
			var b [1]byte
			if n, err := syscall.Read(r[i], b[:]); n != 1 || err != nil {
				t.Errorf("read of a pipe: %d, %v", n, err)
			}
		})
	}
	begun.Wait()
	waitFor(t, func() bool { return threads() >= calls })
	for i := range calls {
		if _, err := syscall.Write(w[i], []byte{1}); err != nil {
			t.Fatal(err)
		}
	}
	done.Wait()
	before := threads()
	if before < calls {
		t.Fatalf("%d threads after %d calls at once: the test tests nothing", before, calls)
	}
	Trim()
	if after := threads(); after > before/2 {
		t.Errorf("%d threads of %d are left", after, before)
	}
	if !alive(os.Getpid()) {
		t.Error("the first thread is gone")
	}
	for i := range calls {
		_ = syscall.Close(r[i])
		_ = syscall.Close(w[i])
	}
}

// threads is how many threads there are.
func threads() int {
	entries, _ := os.ReadDir("/proc/self/task")
	return len(entries)
}

func waitFor(t *testing.T, what func() bool) {
	t.Helper()
	for range 1 << 20 {
		if what() {
			return
		}
		runtime.Gosched()
	}
	t.Fatal("not so after a long time")
}
