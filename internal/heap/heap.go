// Package heap bounds the memory that the C libraries keep, and gives back what a process at
// rest has no use for (decision 0016).
//
// librados copies what is written, a block of some MiB for each write, in whichever
// thread writes, and frees it in another one. glibc gives threads arenas of their own,
// up to eight for each processor, and what is free in one arena is of no use to the
// others: an import had 142 to 166 MiB at its peak. With one arena for all threads it
// has 131 to 135, in the same time; small blocks come from a cache of each thread's
// all the same. To have large blocks come from the kernel one by one instead
// (M_MMAP_THRESHOLD) takes 126 MiB, and half as much processor time again, for the
// pages that have to be cleared. See: mallopt(3), M_ARENA_MAX.
//
// A program imports it for its effect, which has to come before the first thread: the
// setting is the whole process's, so a package does not.
package heap

// #include <malloc.h>
//
// // Threads that the Go runtime starts have their arenas before main is called.
// __attribute__((constructor)) static void share(void) { mallopt(M_ARENA_MAX, 1); }
import "C"

import (
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"
)

// Trim gives the kernel back what is free in both heaps, Go's and that of the C libraries,
// which glibc keeps where anything above it is in use, and the pages of the program itself.
// It takes some tens of milliseconds: it is for a process that has come to rest.
// See: malloc_trim(3).
//
// Threads first: each keeps small blocks that it has freed, wherever in the heap they are,
// and a page with one of them stays. Then a stack at a time is halved by each collection.
func Trim() {
	endThreads()
	for range stackHalvings {
		runtime.GC()
	}
	debug.FreeOSMemory()
	C.malloc_trim(0)
	unmapProgram()
}

// stackHalvings bring the stack of a goroutine that handled a request to its least.
const stackHalvings = 4

// endThreads ends the threads that Go keeps for later, one for each native call that was
// ever made at the same time as others. A goroutine that is bound to its thread and ends takes
// it along (runtime.LockOSThread): as many as there are threads occupy all that are idle.
func endThreads() {
	count, _ := runtime.ThreadCreateProfile(nil)
	threads := make(chan int, count)
	var met, ended sync.WaitGroup
	met.Add(count)
	for range count {
		ended.Go(func() {
			runtime.LockOSThread()
			met.Done()
			met.Wait()
			// The process's first thread would not end but wait for ever.
			if id := syscall.Gettid(); id == os.Getpid() {
				runtime.UnlockOSThread()
			} else {
				threads <- id
			}
		})
	}
	ended.Wait()
	close(threads)
	late := time.NewTimer(time.Second)
	defer late.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for id := range threads {
		for alive(id) {
			select {
			case <-tick.C:
			case <-late.C:
				return
			}
		}
	}
}

// alive tells whether a thread of this process has not ended yet.
func alive(id int) bool {
	_, err := os.Stat(filepath.Join("/proc/self/task", strconv.Itoa(id)))
	return err == nil
}
