#!/usr/bin/env bash
# Builds a bootable RAW disk image: Debian's kernel, busybox, and one script that
# is all the guest does (guest_init.sh). It boots by BIOS from the disk itself:
# MBR, one FAT partition, syslinux. Needs no root and mounts nothing.
#
# usage: guest-image.sh OUT.raw
set -euo pipefail

if (($# != 1)); then
	echo "guest-image.sh: got $# operands, want OUT.raw" >&2
	exit 2
fi
out=$1
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/sbin:/sbin # mkfs.vfat, sfdisk and modprobe, for ordinary users too

# The partition begins at this sector of 512 bytes. The one before it is the one
# that the guest marks.
first=2048
export MTOOLS_SKIP_CHECK=1 # a FAT without the geometry of a floppy is fine

# newest_kernel prints the version of the newest installed cloud kernel.
newest_kernel() {
	local images=(/boot/vmlinuz-*-cloud-amd64)
	if [[ ! -r ${images[0]} ]]; then
		echo "guest-image.sh: no kernel in /boot: install linux-image-cloud-amd64" >&2
		exit 1
	fi
	printf '%s\n' "${images[@]#/boot/vmlinuz-}" | sort -V | tail -n 1
}

# modules copies a module and what it depends on to a directory, numbered in the
# order of loading.
modules() {
	local version=$1 to=$2 number=100 file
	shift 2
	for module in "$@"; do
		modprobe --set-version "$version" --show-depends "$module"
	done | awk '$1 == "insmod" && !seen[$2]++ { print $2 }' | while read -r file; do
		number=$((number + 1))
		name=$to/$number-$(basename "$file" .xz)
		case $file in
		*.xz) busybox xzcat "$file" >"$name" ;; # Debian 13 packs them
		*) cp "$file" "$name" ;;
		esac
	done
}

# initrd prints the archive that the kernel unpacks as its root directory. The
# guest is told the size of its image.
initrd() {
	local version=$1 root=$2 bytes=$3
	mkdir -p "$root/bin" "$root/modules"
	cp "$(command -v busybox)" "$root/bin/busybox"
	sed -e "s/IMAGE_BYTES/$bytes/" -e "s/MARK_SECTOR/$((first - 1))/" \
		"$here/guest_init.sh" >"$root/init"
	chmod 755 "$root/init" "$root/bin/busybox"
	modules "$version" "$root/modules" virtio_pci virtio_blk
	(cd "$root" && find . | cpio --quiet --create --format newc --owner 0:0) | gzip
}

# partition makes an MBR that boots the one FAT partition, in place.
partition() {
	local disk=$1 bytes=$2
	truncate -s "$bytes" "$disk"
	echo "start=$first, type=e, bootable" | sfdisk --quiet --label dos "$disk"
	dd if=/usr/lib/syslinux/mbr/mbr.bin of="$disk" bs=440 count=1 conv=notrunc status=none
	mkfs.vfat -h "$first" --offset "$first" "$disk" $((bytes / 1024 - first / 2)) >/dev/null
}

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
version=$(newest_kernel)
kernel=/boot/vmlinuz-$version

# As small as it can be, for the guest hashes it: the kernel and 4 MiB for the
# rest, rounded up to whole objects of 4 MiB.
object=$((4 << 20))
bytes=$((($(stat -c %s "$kernel") + 2 * object - 1) / object * object))
initrd "$version" "$scratch/root" "$bytes" >"$scratch/initrd"
cat >"$scratch/syslinux.cfg" <<'S'
SERIAL 0 115200
DEFAULT guest
PROMPT 0
LABEL guest
  KERNEL /kernel
  INITRD /initrd
  APPEND console=ttyS0,115200 quiet panic=-1 random.trust_cpu=on
S

disk=$scratch/disk
partition "$disk" "$bytes"
at=$disk@@$((first * 512))
mcopy -i "$at" "$kernel" ::kernel
mcopy -i "$at" "$scratch/initrd" ::initrd
mcopy -i "$at" "$scratch/syslinux.cfg" ::syslinux.cfg
syslinux --offset $((first * 512)) --install "$disk"
cp --sparse=always "$disk" "$out"
