#!/usr/bin/env bash
# Prints the Debian packages of the named groups, one a line, as Debian 12 or 13
# calls them: whichever this is.
#
#   build     what compiles rbdctl; libvirt is loaded at run time and needs nothing
#   lab       what a lab of real daemons runs: Ceph, libvirt, QEMU; and groff, with
#             which the tests print the manual page
#   guest     what the demo's bootable guest is made from
#   driver    what the tests of Cinder's driver import and call, and what makes its
#             packages
#   openstack a whole OpenStack, its tests, and what it takes to run them
#   bench     what rbdctl is compared with: the upstream driver
#   lint      what checks shell scripts
#   debian13  what makes a Debian 13 in a folder, and boots it
#   units     what the tests of the systemd units call in there
#   make      make itself
#
# usage: packages.sh GROUP...
set -euo pipefail

# release prints Debian's number; testing and unstable have none yet.
release() {
	sed -n 's/^VERSION_ID="\{0,1\}\([0-9]*\).*/\1/p' /etc/os-release
}

packages() {
	case $1 in
	build)
		printf '%s\n' gcc libc6-dev librados-dev librbd-dev
		;;
	lab)
		printf '%s\n' ceph-mon ceph-mgr ceph-osd ceph-common \
			libvirt-daemon libvirt-daemon-driver-qemu \
			libvirt-daemon-driver-storage-rbd libvirt-clients \
			qemu-system-x86 qemu-utils qemu-block-extra groff-base
		# Debian 13 took the driver for secrets out of libvirt-daemon.
		[[ $(release) == 12 ]] || echo libvirt-daemon-driver-secret
		;;
	guest)
		printf '%s\n' linux-image-cloud-amd64 busybox-static cpio kmod \
			syslinux syslinux-common mtools dosfstools fdisk
		;;
	driver)
		printf '%s\n' python3-cinder qemu-utils \
			dpkg-dev debhelper dh-python pybuild-plugin-pyproject python3-all python3-setuptools python3-pip python3-wheel
		;;
	openstack)
		printf '%s\n' mariadb-server rabbitmq-server memcached uwsgi-core \
			uwsgi-plugin-python3 sudo curl util-linux \
			python3-pymysql python3-memcache python3-rados python3-rbd python3-requests \
			keystone glance-api cinder-api cinder-scheduler cinder-volume cinder-backup \
			placement-api nova-api nova-conductor nova-scheduler nova-compute \
			nova-compute-kvm libvirt-daemon-system genisoimage \
			tempest python3-tempest cinder-tempest-plugin python3-stestr
		;;
	bench) printf '%s\n' python3-cinder python3-rados python3-rbd ;;
	lint) echo shellcheck ;;
	debian13) printf '%s\n' debootstrap debian-archive-keyring util-linux tar systemd-container ;;
	units) printf '%s\n' systemd curl ;;
	make) echo make ;;
	*)
		echo "packages.sh: no group '$1'; there are build, lab, guest, driver, openstack, bench, lint, debian13, units, make" >&2
		exit 2
		;;
	esac
}

for group in "$@"; do
	packages "$group"
done
