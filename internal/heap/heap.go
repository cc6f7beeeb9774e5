// Package heap bounds the memory that the C libraries keep.
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

import "runtime/debug"

// Trim gives the kernel back what is free in both heaps, Go's and that of the C libraries,
// which glibc keeps where anything above it is in use. It takes some milliseconds: it is for
// a process that has come to rest. See: malloc_trim(3).
func Trim() {
	debug.FreeOSMemory()
	C.malloc_trim(0)
}
