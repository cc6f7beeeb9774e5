// Package heap bounds the memory that the C libraries keep.
//
// librados copies what is written, a block of some MiB for each write. glibc asks
// the kernel for such blocks one by one and gives them back when they are freed,
// but only until the first of them was freed: from then on it takes blocks of that
// size from its arenas, one for each thread or two, where a hole of 2 MiB stays a
// hole. An import had 142 to 166 MiB at its peak, and has 124 to 128 with a limit that
// stays. See: mallopt(3), M_MMAP_THRESHOLD.
//
// It is for a program, not for a package: the setting is the whole process's.
package heap

// #include <malloc.h>
import "C"

// Return makes blocks of 256 KiB and more go back to the kernel when they are
// freed. It is called once, first of all.
func Return() { C.mallopt(C.M_MMAP_THRESHOLD, 256<<10) }
