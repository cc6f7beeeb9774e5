package glance

import (
	"bytes"

	"rbdctl/internal/fault"
)

// signatures tell the disk formats that are not RAW by how a file of them
// begins. The names are those of `qemu-img convert -f`.
// See: glance format_inspector (oslo_utils/imageutils/format_inspector.py).
var signatures = []struct { //nolint:gochecknoglobals // a table of facts
	format string
	offset int
	magic  string
}{
	{"qcow2", 0, "QFI\xfb"},
	{"qed", 0, "QED\x00"},
	{"vmdk", 0, "KDMV"},
	{"vmdk", 0, "COWD"},
	{"vmdk", 0, "# Disk DescriptorFile"},
	{"vhdx", 0, "vhdxfile"},
	{"vpc", 0, "conectix"}, // a dynamic VHD has a copy of its footer in front
	{"vdi", 0x40, "\x7f\x10\xda\xbe"},
	{"parallels", 0, "WithoutFreeSpace"},
	{"parallels", 0, "WithouFreSpacExt"},
	{"dmg", 0, "koly"},
	{"gzip", 0, "\x1f\x8b\x08"},
	{"xz", 0, "\xfd7zXZ\x00"},
	{"zstd", 0, "\x28\xb5\x2f\xfd"},
	{"bzip2", 0, "BZh"},
}

// unpackers turn a compressed file into what it holds.
var unpackers = map[string]string{ //nolint:gochecknoglobals // a table of facts
	"gzip": "gunzip", "xz": "unxz", "zstd": "unzstd", "bzip2": "bunzip2",
}

// Format names the format that the first bytes of a disk image show: "raw" when
// they show none. It looks at signatures only and never interprets what follows:
// content of RAW disks is the guest's own and not to be trusted.
func Format(head []byte) string {
	for _, s := range signatures {
		end := s.offset + len(s.magic)
		if len(head) >= end && bytes.Equal(head[s.offset:end], []byte(s.magic)) {
			return s.format
		}
	}
	return "raw"
}

// CheckRaw refuses content that is not RAW: only RAW can be cloned
// copy-on-write, since a guest reads the clone as its disk. name is the file, or
// what stands for it, in the command that the error tells to run.
func CheckRaw(head []byte, name string) error {
	format := Format(head)
	if format == "raw" {
		return nil
	}
	if unpack, ok := unpackers[format]; ok {
		return fault.Newf(fault.ErrInvalid, "%s is compressed (%s), not RAW: unpack it with `%s %s`", name, format, unpack, name)
	}
	return fault.Newf(fault.ErrInvalid, "%s is %s, not RAW: convert it with `qemu-img convert -f %s -O raw %s %s.raw`", name, format, format, name, name)
}
