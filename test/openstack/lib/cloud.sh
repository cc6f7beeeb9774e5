#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # variables of, and for, the other parts
# Sourced: where everything of one cloud lies, and on which ports. Needs $cloud,
# the cloud's directory.

cloud=$(realpath -m "$cloud")
run=$cloud/run log=$cloud/log etc=$cloud/etc home=$cloud/home
lab=$cloud/ceph
conf=$lab/ceph.conf
top=$(realpath "$(dirname "${BASH_SOURCE[0]}")/../../..")
here=$top/test/openstack
rbdctl=$top/bin/rbdctl
password=openstack # of everything; all of it is on loopback
node=openstack     # [DEFAULT] host of Cinder's and Nova's services
socket=$cloud/sidecar/rbdctl.sock
node_second=openstack2 # [DEFAULT] host of a second cinder-volume: see second.sh
pool_second=volumes-second
socket_second=$cloud/sidecar/second.sock

mkdir -p "$run" "$log" "$etc/ceph" "$home" "$cloud"/{tmp,keystone,rabbitmq,sidecar} \
	"$cloud"/glance/{staging,tasks,lock} "$cloud"/cinder/lock \
	"$cloud"/nova/{instances,lock} "$cloud"/libvirt/{etc,lib,run,cache,log}

# base_port prints the first of 20 free ports. They lie below the range that
# outgoing connections take theirs from: one of those may be somebody's by the
# time that a stopped daemon starts again.
base_port() {
	/usr/bin/python3 - <<-'P'
		import random, socket
		first = int(open("/proc/sys/net/ipv4/ip_local_port_range").read().split()[0])
		def free(port):
		    with socket.socket() as s:
		        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
		        try:
		            s.bind(("127.0.0.1", port))
		        except OSError:
		            return False
		        return True
		for _ in range(200):
		    base = random.randrange(first - 8000, first - 20)
		    if all(free(base + i) for i in range(20)):
		        print(base)
		        break
		else:
		    raise SystemExit("openstack: no 20 free ports in a row below %d" % first)
	P
}

[[ -s $cloud/ports ]] || base_port >"$cloud/ports"
base=$(<"$cloud/ports")
# shellcheck disable=SC2034 # those who source this use them
{
	port_mysql=$base
	port_rabbit=$((base + 1))
	port_epmd=$((base + 2))
	port_rabbit_dist=$((base + 3))
	port_memcached=$((base + 4))
	port_keystone=$((base + 5))
	port_glance=$((base + 6))
	port_cinder=$((base + 7))
	port_placement=$((base + 8))
	port_nova=$((base + 9))
	port_neutron=$((base + 10))
	port_sidecar=$((base + 11))
	port_second=$((base + 12))
}
export CEPH_CONF=$conf
libvirt_uri="qemu+unix:///system?socket=$cloud/libvirt/run/libvirt-sock"

# python runs one of the programs beside this with what it needs to find the cloud.
python() {
	local program=$1
	shift
	bare HOME="$home" CEPH_CONF="$conf" CLOUD="$cloud" CLOUD_PASSWORD="$password" CLOUD_BASE="$base" \
		RBDCTL="$rbdctl" ROUNDS="${ROUNDS:-20}" /usr/bin/python3 -u "$here/$program" "$@"
}
