#!/usr/bin/env bash
# From nothing to a booted guest, on real daemons: a Ceph cluster and a libvirt of
# their own, pools, cephx entities, libvirt secrets, an image, its copy-on-write
# clones, and a guest that boots from them. Every command is printed before it
# runs, and every claim is checked: exit status 0 means that all were true.
#
# Runs as root or as anybody else, from any directory. Everything is taken down
# at the end, also after a failure or an interrupt, unless KEEP=1 is set. BIN is
# the directory of rbdctl, by default that of `make build`. WORK is a directory to
# be made for all that the demo needs, by default a temporary one.
#
# usage: [KEEP=1] [BIN=DIR] [WORK=DIR] demo.sh
set -euo pipefail
export LC_ALL=C
unset CEPH_ARGS CEPH_CONF CEPH_KEYRING "${!RBDCTL_@}" "${!LIBVIRT_@}" # those of another cluster

# clean takes everything down, or says how to go on.
clean() {
	local status=$?
	trap '' INT TERM HUP PIPE
	set +e
	if ((status != 0)); then
		failed "$status" >&2
	fi
	if [[ ${KEEP:-0} == 1 ]]; then
		kept
		exit "$status"
	fi
	# In a session of its own, so that a second Ctrl-C does not reach it.
	if ! setsid --wait rbdctl lab down --dir "$lab" >"$last" 2>&1 || running; then
		lines <"$last" >&2
		echo "demo.sh: something is left: repeat \`$bin/rbdctl lab down --dir $lab\`" >&2
		exit $((status ? status : 1))
	fi
	rm -rf "$work"
	printf '\nEverything was taken down: guest, libvirt, Ceph, %s.\n' "$work"
	exit "$status"
}

# failed says where the demo ended before its end.
failed() {
	echo
	case $1 in
	129 | 130 | 143) echo "demo.sh: interrupted $(where)" ;;
	*) bad "demo.sh: failed $(where)" ;;
	esac
	if [[ ${KEEP:-0} != 1 ]]; then
		echo "demo.sh: KEEP=1 leaves everything as it is, for a look"
	fi
}

# running tells whether any process still works below our directory.
running() {
	grep -qsFf <(echo "$work/") /proc/[0-9]*/cmdline
}

kept() {
	cat <<-T

		Everything is kept in $work. To go on in this shell:
		  PATH=$bin:\$PATH
		  eval "\$(rbdctl lab env --dir $lab)"
		The guest is off; to see it boot again:
		  virsh start demo
		  tail -f $guest/demo.console
		To take everything down:
		  rbdctl lab down --dir $lab
		  rm -rf $work
	T
}

a_cluster() {
	run rbdctl lab up --dir "$lab"
	prompt 'eval' "\"\$(rbdctl lab env --dir $lab)\""
	eval "$(rbdctl lab env --dir "$lab")"
	local socket=${LIBVIRT_DEFAULT_URI#*socket=}
	mkdir "$guest"
	chown --reference "$socket" "$guest" # whom libvirt's guests run as
	monitor=$(ceph mon dump 2>/dev/null | sed -n 's/.*v2:\([0-9.]*:[0-9]*\).*/\1/p')
	run rbdctl lab status --dir "$lab"
	check "three OSDs are up, the data is in BlueStore" \
		test "$(ceph osd metadata | grep -c '"osd_objectstore": "bluestore"')" = 3
}

the_pools() {
	run rbdctl pools plan
	run rbdctl pools init
	ceph osd pool ls detail >"$work/pools.1"
	say "The same again:"
	run rbdctl pools init
	ceph osd pool ls detail >"$work/pools.2"
	check "it says that it changed nothing" said '^nothing to change$'
	check "and Ceph's own account of the pools is the same" cmp -s "$work/pools.1" "$work/pools.2"
}

the_keys() {
	run rbdctl keyring issue
	run rbdctl keyring ls
	say "Each service's own key, for the host that the service runs on:"
	local service
	for service in glance cinder nova; do
		run rbdctl keyring export --dir "$lab" --owner "$(id -un)" --group "$(id -gn)" "client.$service"
	done
}

the_secrets() {
	run rbdctl secret register
	run rbdctl secret verify
	check "both keys open the cluster" test "$(grep -c ' ok ' "$last")" = 2
}

the_image() {
	run "$here/guest-image.sh" "$work/guest.raw"
	run rbdctl image import --entity client.glance --verify --id "$image" "$work/guest.raw"
	parent_hash
	check "the snapshot in Ceph is the file" said "^$(sha256sum <"$work/guest.raw")$"
	cp "$last" "$work/parent"
	measure image
}

# parent_hash reads the image's snapshot through librbd.
parent_hash() {
	run_line "rbd export --no-progress images/$image@snap - | sha256sum"
}

the_clones() {
	local volume_args=(--entity client.cinder --id "$volume" --image "$image")
	run rbdctl volume create "${volume_args[@]}" --size 10G
	check "it is a clone of the image" said "^$volume_image created: .* clone of images/$image@snap$"
	run rbdctl disk create --entity client.nova --instance "$instance" --image "$image" --size 5G
	check "so is this" said "^$disk_image created: .* clone of images/$image@snap$"
	say "The same again, as after a crash; and with another size:"
	run rbdctl volume create "${volume_args[@]}" --size 10G
	check "it is there already" said "^$volume_image there already: "
	refused 4 rbdctl volume create "${volume_args[@]}" --size 20G
	measure clones
}

the_guest() {
	local kind=qemu why
	if why=$(kvm_runs "$work/guest.raw"); then kind=kvm; fi
	say "Accelerator: $([[ $kind == kvm ]] && echo KVM || echo TCG), because $why"
	rbd_disk vda "$disk_image" "$monitor" client.nova >"$work/vda.xml"
	rbd_disk vdb "$volume_image" "$monitor" client.cinder >"$work/vdb.xml"
	cat "$work/vda.xml" "$work/vdb.xml" | domain "$kind" demo "$instance" >"$work/demo.xml"
	say "What the guest's QEMU is told of its root disk:"
	sed 's/^  //' "$work/vda.xml" | lines
	check "it is given neither a ceph.conf nor a keyring" \
		test "$(grep -ciE 'ceph\.conf|keyring' "$work/demo.xml")" = 0
	run virsh --quiet define "$work/demo.xml"
	run virsh --quiet start demo
	local start
	start=$(now)
	follow demo 90
	note "$(seconds $(($(now) - start))) until it was off"
	local hash disk
	hash=$(sha256sum <"$work/guest.raw")
	for disk in vda vdb; do
		check "$disk began as the image, byte for byte" heard demo "$disk is ${hash%% *}"
		check "$disk took the guest's mark" heard demo "$disk marked"
	done
	check "vda is the disk of 5 GiB" heard demo "vda has $((5 << 30)) bytes"
	check "vdb is the volume of 10 GiB" heard demo "vdb has $((10 << 30)) bytes"
	check "the guest came to its end and is off" heard demo "done"
	measure guest
}

the_proof() {
	local end
	say "The guest's marks, read from Ceph now that it is off: before the partition and at the end"
	for end in 2047 $(((5 << 21) - 1)); do
		is_marked nova "$disk_image" "$end" vda
	done
	for end in 2047 $(((10 << 21) - 1)); do
		is_marked cinder "$volume_image" "$end" vdb
	done
	parent_hash
	check "the parent is unchanged" cmp -s "$last" "$work/parent"
	sharing
}

# is_marked checks one sector: entity's id, image, sector, disk.
is_marked() {
	local text
	text=$(sector "$1" "$2" "$3")
	check "${2%%/*}: sector $3 holds this guest's mark on $4" test "$text" = "marked by $instance on $4"
}

# sharing shows what the clones cost, from Ceph's own accounting.
sharing() {
	say "What the pools hold by \`ceph df\`: stored is what clients wrote, used is what that takes on the OSDs, with three replicas:"
	figures image "with the image alone" clones "with the two clones" guest "after the guest's writes"
	local data clones writes
	# A disk that was written to has of its own one object of 4 MiB, which held
	# data of the image, and at its end a block.
	local objects=$(((4 << 20) + (64 << 10)))
	data=$(stored image images)
	clones=$(added stored image clones volumes vms)
	writes=$(added stored clones guest volumes vms)
	check "two full copies would store $((2 * data)) bytes, the clones stored $clones" \
		test "$clones" -lt $((data / 100))
	check "the guest's writes stored $writes more: the objects that it wrote to" \
		test "$writes" -gt 0 -a "$writes" -le $((2 * objects))
	check "the image did not grow" test "$(added stored image guest images)" -lt $((data / 100))
}

here=$(cd "$(dirname "$(readlink -f "$0")")" && pwd)
bin=${BIN:-$(cd "$here/../.." && pwd)/bin}
if [[ ! -x $bin/rbdctl ]]; then
	echo "demo.sh: there is no $bin/rbdctl: run \`make demo\`, which builds it first" >&2
	exit 1
fi
export PATH=$bin:$PATH:/usr/sbin:/sbin
for part in show figures guest; do
	# shellcheck source=/dev/null
	. "$here/$part.sh"
done

# On the disk: /tmp may be memory. The guest's QEMU may run as another user, who
# has to get to the console in there.
if [[ -n ${WORK:-} ]]; then
	mkdir "$WORK" # what is there already is not ours to remove
	work=$(cd "$WORK" && pwd)
else
	work=$(mktemp -d /var/tmp/rbdctl-demo.XXXXXX)
fi
chmod 755 "$work"
lab=$work/lab guest=$work/guest last=$work/last
trap clean EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 141' PIPE
trap 'exit 143' TERM

image=$(uuid) volume=$(uuid) instance=$(uuid)
volume_image=volumes/volume-$volume disk_image=vms/${instance}_disk

step "A Ceph cluster and a libvirt, from nothing"
a_cluster
step "Pools"
the_pools
step "An entity of its own for each service"
the_keys
step "The keys in libvirt"
the_secrets
step "An image, made on the spot"
the_image
step "A volume and a disk, cloned copy-on-write"
the_clones
step "A guest boots from them"
the_guest
step "What is in Ceph now"
the_proof
end_step
echo
good "Every claim above was checked and is true. Time:"
times
