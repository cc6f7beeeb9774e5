package heap

import (
	"os"
	"runtime"
	"sync"
	"testing"
)

// Threads that were once needed at the same time are not kept.
func TestTrimEndsIdleThreads(t *testing.T) {
	const calls = 64
	var met, ended sync.WaitGroup
	met.Add(calls)
	for range calls {
		ended.Go(func() {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			met.Done()
			met.Wait()
		})
	}
	ended.Wait()
	before := threads(t)
	if before < calls {
		t.Fatalf("%d threads after %d calls at once: the test tests nothing", before, calls)
	}
	Trim()
	if after := threads(t); after > before/2 {
		t.Errorf("%d threads of %d are left", after, before)
	}
}

// threads is how many threads this process has.
func threads(t *testing.T) int {
	t.Helper()
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		t.Fatal(err)
	}
	return len(tasks)
}
