# shellcheck shell=bash disable=SC2154 # wants $here, $guest, $work from demo.sh
#
# Sourced by demo.sh: the guest's side, which is the operator's and not rbdctl's.
# $guest is a directory of the user whom libvirt's guests run as; the libvirt is
# that of LIBVIRT_DEFAULT_URI.

# uuid prints a new one.
uuid() {
	cat /proc/sys/kernel/random/uuid
}

# domain prints the XML of a guest: TYPE (kvm or qemu), name, UUID, and the XML of
# its disks on standard input.
domain() {
	DISKS=$(cat) awk '/@DISKS@/ { print ENVIRON["DISKS"]; next } { print }' "$here/domain.xml.in" |
		sed -e "s|@TYPE@|$1|" -e "s|@NAME@|$2|" -e "s|@UUID@|$3|" -e "s|@CONSOLE@|$guest/$2.console|"
}

# rbd_disk prints the XML of a disk in Ceph: target, image, monitor, and the
# entity that its libvirt secret is of. It is what Nova writes, and all that QEMU
# is told.
rbd_disk() {
	local secret
	secret=$(virsh --quiet secret-list | awk -v entity="/$4\$" '$NF ~ entity { print $1 }')
	sed -e "s|@TARGET@|$1|" -e "s|@IMAGE@|$2|" -e "s|@HOST@|${3%:*}|" -e "s|@PORT@|${3##*:}|" \
		-e "s|@USER@|${4#client.}|" -e "s|@SECRET@|$secret|" "$here/disk.xml.in"
}

# file_disk prints the XML of a disk in a file.
file_disk() {
	cat <<-X
		    <disk type='file' device='disk'>
		      <driver name='qemu' type='raw'/>
		      <source file='$2'/>
		      <target dev='$1' bus='virtio'/>
		    </disk>
	X
}

# console prints what a guest said since it was started. Firmware and boot loader
# send control sequences along with it.
console() {
	if [[ -e $guest/$1.console ]]; then
		tr -d '\r\0' <"$guest/$1.console" | sed -n 's/^.*\(guest: \)/\1/p'
	fi
}

# kvm_runs tells whether a guest boots under KVM here, and prints the reason. That
# /dev/kvm exists and opens proves little: the image is booted, from a file, and
# has to say something within ten seconds.
kvm_runs() {
	local image=$1 tries=40
	if [[ ! -e /dev/kvm ]]; then
		echo "there is no /dev/kvm"
		return 1
	fi
	cp --sparse=always "$image" "$guest/probe.raw"
	chown --reference "$guest" "$guest/probe.raw"
	file_disk vda "$guest/probe.raw" | domain kvm probe "$(uuid)" >"$work/probe.xml"
	if ! virsh --quiet create "$work/probe.xml" >"$work/probe.log" 2>&1; then
		echo "libvirt refuses KVM: $(sed -n '$ s/^error: //p' "$work/probe.log")"
		return 1
	fi
	while [[ -z $(console probe) ]] && ((tries-- > 0)); do
		sleep 0.25
	done
	virsh --quiet destroy probe >/dev/null 2>&1 || true # it may be off by now
	if [[ -z $(console probe) ]]; then
		echo "the guest said nothing within 10 s under KVM"
		return 1
	fi
	echo "the guest boots under KVM"
}

# follow prints what a guest says until it is off, which must be within the given
# seconds.
follow() {
	local name=$1 until shown=0 state said
	until=$(($(now) + $2 * 1000))
	while :; do
		state=$(virsh --quiet domstate "$name")
		said=$(console "$name" | tail -n +$((shown + 1)))
		if [[ -n $said ]]; then
			lines <<<"$said"
			shown=$((shown + $(wc -l <<<"$said")))
		fi
		[[ $state == running ]] || return 0
		if (($(now) > until)); then
			echo "demo.sh: the guest is not off after $2 s; its console, $guest/$name.console, ends:" >&2
			tr -d '\r\0' <"$guest/$name.console" | tail -n 20 >&2
			return 1
		fi
		sleep 0.2
	done
}

# heard tells whether a guest said a line.
heard() {
	console "$1" | grep -qxF -- "guest: $2"
}

# sector prints the text in one sector of an image in Ceph: entity's id, image,
# number of the sector. QEMU's own driver reads it, without the guest.
sector() {
	# qemu-img counts from the image's begin, whatever it skips.
	qemu-img dd -f raw -O raw bs=512 skip="$3" count=$(($3 + 1)) \
		"if=rbd:$2:id=$1:conf=$CEPH_CONF" "of=$work/sector" >/dev/null
	head -c 512 "$work/sector" | tr -d '\0'
}
