#!/bin/busybox sh
# shellcheck shell=dash
#
# The whole userland of the demo's guest: what it sees of its disks, what it
# writes to them, and off. Each line for the console begins with "guest: ".
#
# A disk gets the mark twice: into the gap before its partition, where the image
# has data around it, and into its last sector, which the image does not have.
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
	insmod "$module"
done

# say prints one line for the console.
say() {
	echo "guest: $*"
}

# look tells how large a disk is, and the SHA-256 of its first IMAGE_BYTES.
look() {
	say "$1 has $(blockdev --getsize64 "/dev/$1") bytes"
	say "$1 is $(head -c IMAGE_BYTES "/dev/$1" | sha256sum | cut -d ' ' -f 1)"
}

# mark writes one sector, at a sector's number, through to the disk.
mark() {
	echo "marked by $id on $1" |
		dd of="/dev/$1" bs=512 seek="$2" count=1 conv=notrunc,sync,fsync 2>/dev/null
}

id=$(cat /sys/class/dmi/id/product_uuid)
tries=50
while [ ! -b /dev/vda ] && [ $tries -gt 0 ]; do
	sleep 0.1
	tries=$((tries - 1))
done
say "up after $(cut -d ' ' -f 1 /proc/uptime) s with kernel $(uname -r)"
say "I am $id"
for disk in vda vdb; do
	[ -b /dev/$disk ] || continue
	look $disk
	mark $disk MARK_SECTOR && mark $disk $(($(cat /sys/block/$disk/size) - 1)) &&
		say "$disk marked"
done
sync
say "done"
poweroff -f
