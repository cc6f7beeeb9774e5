#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # variables of, and for, the other parts
# Sourced: Tempest's configuration.

# config_tempest IMAGE OTHER_IMAGE writes it.
config_tempest() {
	tempest_conf "$@" >"$work/etc/tempest.conf"
	cat >"$work/.stestr.conf" <<-'C'
		[DEFAULT]
		test_path=/usr/lib/python3/dist-packages/tempest/test_discover
		top_dir=/usr/lib/python3/dist-packages
		group_regex=([^\.]*\.)*
	C
}

tempest_conf() {
	cat <<-C
		[DEFAULT]
		log_dir = $work
		log_file = tempest.log
		[oslo_concurrency]
		lock_path = $work/lock
		[auth]
		use_dynamic_credentials = true
		create_isolated_networks = false
		tempest_roles = member
		admin_username = admin
		admin_password = $password
		admin_project_name = admin
		admin_domain_name = Default
		[identity]
		uri_v3 = http://127.0.0.1:$port_keystone/v3
		auth_version = v3
		region = RegionOne
		[service_available]
		cinder = true
		glance = true
		nova = true
		neutron = false
		swift = false
		horizon = false
		[compute]
		image_ref = $1
		image_ref_alt = $2
		flavor_ref = 42
		flavor_ref_alt = 84
		max_microversion = 2.93
		build_timeout = 600
		[compute-feature-enabled]
		# this Tempest makes such volumes in a way that Cinder no longer takes
		volume_multiattach = false
		config_drive = true
		swap_volume = false
		live_migration = false
		cold_migration = false
		vnc_console = false
		interface_attach = false
		metadata_service = false
		personality = false
		attach_encrypted_volume = true
		[service-clients]
		http_timeout = 300
		[validation]
		run_validation = false
		[volume]
		volume_size = 1
		max_microversion = 3.70
		storage_protocol = ceph
		vendor_name = Open Source
		manage_volume_ref = source-name, volume-%s
		manage_snapshot_ref = source-name, snapshot-%s
		build_timeout = 600
		[volume-feature-enabled]
		backup = true
		snapshot = true
		clone = true
		manage_volume = true
		manage_snapshot = true
		extend_attached_volume = true
		extend_attached_encrypted_volume = true
		volume_revert = true
		consistency_group = false
		[scenario]
		img_file = $cloud/guest.raw
		img_disk_format = raw
	C
}
