package heap

// #define _GNU_SOURCE
// #include <link.h>
// #include <sys/mman.h>
// #include <unistd.h>
//
// // patched tells whether an object's code was written to when it was loaded. No compiler
// // makes such code for a 64-bit machine unless it is made to.
// static int patched(const struct dl_phdr_info *object) {
// 	for (int i = 0; i < object->dlpi_phnum; i++) {
// 		if (object->dlpi_phdr[i].p_type != PT_DYNAMIC)
// 			continue;
// 		const ElfW(Dyn) *entry = (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
// 		for (; entry->d_tag != DT_NULL; entry++) {
// 			if (entry->d_tag == DT_TEXTREL || (entry->d_tag == DT_FLAGS && entry->d_un.d_val & DF_TEXTREL))
// 				return 1;
// 		}
// 	}
// 	return 0;
// }
//
// // unmap lets go of the pages of an object's segments that are never written to. What the
// // loader writes to, and makes read-only only then, is part of a writable segment.
// static int unmap(struct dl_phdr_info *object, size_t size, void *arg) {
// 	uintptr_t page = sysconf(_SC_PAGESIZE);
// 	if (patched(object))
// 		return 0;
// 	for (int i = 0; i < object->dlpi_phnum; i++) {
// 		const ElfW(Phdr) *segment = &object->dlpi_phdr[i];
// 		if (segment->p_type != PT_LOAD || segment->p_flags & PF_W)
// 			continue;
// 		uintptr_t begin = object->dlpi_addr + segment->p_vaddr;
// 		uintptr_t end = (begin + segment->p_memsz + page - 1) & -page;
// 		begin &= -page;
// 		madvise((void *)begin, end - begin, MADV_DONTNEED);
// 	}
// 	return 0;
// }
//
// static void unmap_program(void) { dl_iterate_phdr(unmap, 0); }
import "C"

// unmapProgram lets go of the pages of the program and its libraries: what is used again is
// mapped again, mostly from the kernel's cache of the files, 16 pages at a time. Most of what
// a start needs nothing needs after it, and a page that no process maps is the first
// that the kernel takes when memory is short. See: dl_iterate_phdr(3), madvise(2).
func unmapProgram() { C.unmap_program() }
