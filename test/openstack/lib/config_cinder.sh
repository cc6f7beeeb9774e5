#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # variables of, and for, the other parts
# Sourced: cinder.conf. One backend, "ceph", whose driver is the only line in which
# the two runs of a comparison differ; and what a second cinder-volume has instead.

# volume_driver prints the class of a driver.
volume_driver() {
	case $1 in
	upstream) echo cinder.volume.drivers.rbd.RBDDriver ;;
	sidecar) echo rbdctl_cinder.driver.RBDSidecarDriver ;;
	*)
		echo "openstack: no driver '$1'; there are upstream and sidecar" >&2
		return 2
		;;
	esac
}

# backend NAME DRIVER POOL SOCKET prints a backend's section.
backend() {
	cat <<-C
		[$1]
		volume_driver = $(volume_driver "$2")
		volume_backend_name = $1
		rbd_pool = $3
		rbd_user = cinder
		rbd_ceph_conf = $conf
		rbd_secret_uuid = $(secret_of client.cinder)
		rbd_flatten_volume_from_snapshot = false
		report_discard_supported = true
	C
	[[ $2 == upstream ]] || printf '%s\n' "rbdctl_socket = $4" "rbdctl_retry_time = 300" # it is killed now and then
}

# config_cinder DRIVER writes cinder.conf.
config_cinder() {
	cat >"$etc/cinder.conf" <<-C
		[DEFAULT]
		host = $node
		my_ip = 127.0.0.1
		debug = true
		transport_url = rabbit://cloud:$password@127.0.0.1:$port_rabbit/
		# a busy machine is no failure
		rpc_response_timeout = 300
		service_down_time = 300
		auth_strategy = keystone
		state_path = $cloud/cinder
		api_paste_config = /etc/cinder/api-paste.ini
		rootwrap_config = /etc/cinder/rootwrap.conf
		resource_query_filters_file = /etc/cinder/resource_filters.json
		osapi_volume_listen = 127.0.0.1
		osapi_volume_listen_port = $port_cinder
		osapi_volume_workers = 1
		enabled_backends = ceph
		default_volume_type = ceph
		glance_api_servers = http://127.0.0.1:$port_glance
		backup_driver = cinder.backup.drivers.ceph.CephBackupDriver
		backup_ceph_conf = $conf
		backup_ceph_user = cinder-backup
		backup_ceph_pool = backups
		backup_workers = 1
		allow_availability_zone_fallback = true
		$(backend ceph "$1" volumes "$socket")
		[key_manager]
		# one key for all, from this file: encrypted volumes without a key service
		backend = cinder.keymgr.conf_key_mgr.ConfKeyManager
		fixed_key = $fixed_key
		[database]
		connection = $(database cinder)
		[oslo_concurrency]
		lock_path = $cloud/cinder/lock
		[nova]
		interface = public
		$(login cinder)
		[service_user]
		send_service_user_token = true
		$(login cinder)
		$(token cinder)
	C
}

# config_second writes what the second cinder-volume reads after cinder.conf.
config_second() {
	cat >"$etc/cinder-second.conf" <<-C
		[DEFAULT]
		host = $node_second
		enabled_backends = second
		$(backend second sidecar "$pool_second" "$socket_second")
	C
}

# The value is of no account: there is nothing to hide in this cloud.
fixed_key=$(printf '%064d' 1)
