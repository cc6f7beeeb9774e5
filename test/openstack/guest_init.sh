#!/bin/busybox sh
# shellcheck shell=dash
#
# The whole userland of the cloud's guests. It stays up, and tells on the console
# about each disk that comes or goes, one line each, beginning with "guest: ". The
# mark goes to the end of a disk's first sector when that sector is blank.
#
# usage: by the kernel, as /init
/bin/busybox mkdir -p /proc /sys /dev
/bin/busybox --install -s /bin
export PATH=/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
for module in /modules/*.ko; do
	insmod "$module"
done

# look tells of a disk that is new, and marks it if it is blank.
look() {
	text=$(dd if="/dev/$1" bs=512 count=1 2>/dev/null | tr -cd 'a-zA-Z0-9 =._-' | head -c 60)
	echo "guest: $1 has $(($(cat "/sys/block/$1/size") * 512)) bytes, text=$text"
	[ -z "$text" ] || return 0
	echo "marked by a guest" | dd of="/dev/$1" bs=512 count=1 conv=notrunc,sync,fsync 2>/dev/null
	sync
	echo "guest: marked $1"
}

echo "guest: up with kernel $(uname -r)"
known=' '
while :; do
	now=' '
	for path in /sys/block/vd*; do
		[ -e "$path" ] || continue
		disk=${path##*/}
		size=$(cat "$path/size")
		now="$now$disk:$size "
		case $known in
		*" $disk:$size "*) ;;
		*) look "$disk" ;;
		esac
	done
	for disk in $known; do
		case $now in
		*" ${disk%%:*}:"*) ;;
		*) echo "guest: gone ${disk%%:*}" ;;
		esac
	done
	known=$now
	sleep 1
done
