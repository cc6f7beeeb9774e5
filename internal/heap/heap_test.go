package heap

import (
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
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

// TestTrimUnmapsTheProgram: what a program needed once it need not keep in memory, and it
// runs on.
func TestTrimUnmapsTheProgram(t *testing.T) {
	readProgram(t)
	before := programResident(t)
	Trim()
	if after := programResident(t); after > before*3/4 {
		t.Errorf("%d KiB of the program's files are resident, %d before", after, before)
	}
}

// readProgram brings all of the program and its libraries that is not written to into memory.
func readProgram(t *testing.T) {
	t.Helper()
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		t.Fatal(err)
	}
	memory, err := os.Open("/proc/self/mem")
	if err != nil {
		t.Fatal(err)
	}
	defer memory.Close()
	for line := range strings.Lines(string(maps)) {
		var begin, end, skip int64
		var mode, device, file string
		if n, _ := fmt.Sscanf(line, "%x-%x %s %x %s %d %s", &begin, &end, &mode, &skip, &device, &skip, &file); n < 7 ||
			!strings.HasPrefix(file, "/") || mode[:2] != "r-" {
			continue
		}
		if _, err := io.Copy(io.Discard, io.NewSectionReader(memory, begin, end-begin)); err != nil {
			t.Fatal(file, err)
		}
	}
}

// programResident is how much of the files that this process maps is in its memory, in KiB.
func programResident(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		var resident int
		if _, err := fmt.Sscanf(line, "RssFile: %d kB", &resident); err == nil {
			return resident
		}
	}
	t.Fatal("no RssFile in the status of this process")
	return 0
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
