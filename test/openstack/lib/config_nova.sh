#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # variables of, and for, the other parts
# Sourced: nova.conf. Guests run in software (TCG), so that the cloud works on
# machines that are guests themselves.

config_nova() {
	cat >"$etc/nova.conf" <<-C
		[DEFAULT]
		host = $node
		my_ip = 127.0.0.1
		transport_url = rabbit://cloud:$password@127.0.0.1:$port_rabbit/
		state_path = $cloud/nova
		instances_path = $cloud/nova/instances
		enabled_apis = osapi_compute
		osapi_compute_listen = 127.0.0.1
		osapi_compute_listen_port = $port_nova
		osapi_compute_workers = 1
		compute_driver = libvirt.LibvirtDriver
		rootwrap_config = /etc/nova/rootwrap.conf
		# a busy machine is no failure
		rpc_response_timeout = 300
		service_down_time = 300
		reserved_host_memory_mb = 512
		allow_resize_to_same_host = true
		# the guest does not listen to the power button
		shutdown_timeout = 0
		use_cow_images = true
		[wsgi]
		api_paste_config = /etc/nova/api-paste.ini
		[api]
		auth_strategy = keystone
		[api_database]
		connection = $(database nova_api)
		[database]
		connection = $(database nova)
		[conductor]
		workers = 1
		[scheduler]
		workers = 1
		[vnc]
		enabled = false
		[spice]
		enabled = false
		[glance]
		api_servers = http://127.0.0.1:$port_glance
		[cinder]
		os_region_name = RegionOne
		catalog_info = volumev3::publicURL
		$(login nova)
		[key_manager]
		backend = nova.keymgr.conf_key_mgr.ConfKeyManager
		fixed_key = $fixed_key
		[placement]
		$(login placement)
		[neutron]
		endpoint_override = http://127.0.0.1:$port_neutron
		$(login nova)
		[service_user]
		send_service_user_token = true
		$(login nova)
		[libvirt]
		connection_uri = $libvirt_uri
		virt_type = qemu
		cpu_mode = none
		images_type = rbd
		images_rbd_pool = vms
		images_rbd_ceph_conf = $conf
		rbd_user = nova
		rbd_secret_uuid = $(secret_of client.nova)
		disk_cachemodes = network=writeback
		hw_disk_discard = unmap
		inject_partition = -2
		[oslo_concurrency]
		lock_path = $cloud/nova/lock
		$(token nova)
	C
}
