#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # variables of, and for, the other parts
# Sourced: OpenStack's services, and the sidecar beside cinder-volume.

# What Cinder's services and nova-compute find as /etc/ceph: os-brick takes a
# keyring from there whatever rbd_ceph_conf says.
etc_ceph=("${over[@]}" "$etc/ceph:/etc/ceph" --)

# libvirt_up starts a libvirtd that has the cloud's directories in the place of
# the system's; it has no option for them.
libvirt_up() {
	local own=$cloud/libvirt dir
	for dir in /etc/libvirt /var/lib/libvirt /run/libvirt /var/cache/libvirt /var/log/libvirt; do
		[[ -d $dir ]] || mkdir -p "$dir" # what is mounted over has to be there
	done
	start libvirtd "${over[@]}" "$own/etc:/etc/libvirt" "$own/lib:/var/lib/libvirt" \
		"$own/run:/run/libvirt" "$own/cache:/var/cache/libvirt" "$own/log:/var/log/libvirt" -- \
		libvirtd -f "$etc/libvirtd.conf" -p "$own/run/libvirtd.pid"
	await libvirtd 180 virsh --quiet --connect "$libvirt_uri" list
}

# wsgi NAME PORT FILE ENV... runs a service that exists as a WSGI application only.
wsgi() {
	local name=$1 port=$2 file=$3
	shift 3
	start "$name" env "$@" uwsgi_python3 --master --die-on-term --need-app --lazy-apps \
		--enable-threads --processes 2 --threads 4 --buffer-size 65535 --thunder-lock \
		--no-orphans --http-socket "127.0.0.1:$port" --add-header 'Connection: close' \
		--disable-logging --wsgi-file "$file"
}

keystone_up() {
	wsgi keystone "$port_keystone" /usr/bin/keystone-wsgi-public OS_KEYSTONE_CONFIG_FILES="$etc/keystone.conf"
	await keystone 180 answers "$port_keystone" /v3
	python bootstrap.py identity
}

# serve NAME POOL SOCKET PORT runs rbdctl as Cinder's own entity, for Cinder's own
# user: root here.
serve() {
	start "$1" "$rbdctl" serve --ceph-conf "$conf" --entity client.cinder \
		--socket "$3" --listen "127.0.0.1:$4" \
		--pool "$2" --image-pool images --allow-uid 0
	await "$1" 120 answers "$4" /readyz
}

sidecar_start() {
	serve sidecar volumes "$socket" "$port_sidecar"
}

# cinder_run NAME PROGRAM [OPTION...] starts one of Cinder's programs.
cinder_run() {
	local name=$1 program=$2
	shift 2
	start "$name" "${etc_ceph[@]}" env PYTHONPATH="$top/contrib/cinder" \
		"$program" --config-file "$etc/cinder.conf" "$@"
}

cinder_start() {
	cinder_run "$1" "$1"
}

# volume_start DRIVER starts cinder-volume, and before it what the driver needs.
volume_start() {
	[[ $1 != sidecar ]] || sidecar_start
	cinder_start cinder-volume
}

# services_up DRIVER starts the services, and waits for what the next one needs.
services_up() {
	wsgi placement "$port_placement" /usr/bin/placement-api OS_PLACEMENT_CONFIG_DIR="$etc/placement"
	start neutron-stub /usr/bin/python3 "$here/neutron_stub.py" "$port_neutron"
	start glance-api glance-api --config-file "$etc/glance-api.conf"
	local name
	for name in cinder-api cinder-scheduler cinder-backup; do cinder_start "$name"; done
	volume_start "$1"
	for name in nova-api nova-conductor nova-scheduler; do
		start "$name" "$name" --config-file "$etc/nova.conf"
	done
	await placement 240 answers "$port_placement" /
	await nova-conductor 240 grep -q 'Starting conductor' "$log/nova-conductor.log"
	start nova-compute "${etc_ceph[@]}" nova-compute --config-file "$etc/nova.conf"
	await glance-api 240 answers "$port_glance" /healthcheck
	await cinder-api 240 answers "$port_cinder" /healthcheck
	await nova-api 240 answers "$port_nova" /
	python bootstrap.py resources
}

# services_ready waits until the agents have reported and can do work.
services_ready() {
	await cinder-volume 300 python ready.py cinder
	await nova-compute 300 python ready.py nova
	once discovered nova-manage --config-file "$etc/nova.conf" cell_v2 discover_hosts
}
