#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # variables of, and for, the other parts
# Sourced: the configuration of everything but Cinder and Nova. All of it lies
# under $etc; of /etc only the paste files and rootwrap filters of the packages are
# used, where they lie.

database() {
	echo "mysql+pymysql://cloud:$password@127.0.0.1:$port_mysql/$1?charset=utf8"
}

# login prints what a service needs to log in to Keystone.
login() {
	cat <<-C
		auth_url = http://127.0.0.1:$port_keystone
		auth_type = password
		project_domain_name = Default
		user_domain_name = Default
		project_name = service
		username = $1
		password = $password
		region_name = RegionOne
	C
}

# token prints the section with which an API checks who calls it.
token() {
	cat <<-C
		[keystone_authtoken]
		www_authenticate_uri = http://127.0.0.1:$port_keystone
		memcached_servers = 127.0.0.1:$port_memcached
		service_token_roles = service
		service_token_roles_required = true
		$(login "$1")
	C
}

config_shared() {
	cat >"$etc/keystone.conf" <<-C
		[DEFAULT]
		log_file =
		[database]
		connection = $(database keystone)
		[cache]
		enabled = true
		backend = dogpile.cache.memcached
		memcache_servers = 127.0.0.1:$port_memcached
		[fernet_tokens]
		key_repository = $cloud/keystone/fernet
		[credential]
		key_repository = $cloud/keystone/credential
		[token]
		provider = fernet
		expiration = 86400
	C
	mkdir -p "$etc/placement"
	cat >"$etc/placement/placement.conf" <<-C
		[placement_database]
		connection = $(database placement)
		[api]
		auth_strategy = keystone
		$(token placement)
	C
	cat >"$cloud/rabbitmq/rabbitmq.conf" <<-C
		listeners.tcp.1 = 127.0.0.1:$port_rabbit
		default_user = cloud
		default_pass = $password
		vm_memory_high_watermark.absolute = 512MiB
		disk_free_limit.absolute = 100MB
	C
	: >"$cloud/rabbitmq/enabled_plugins"
}

config_glance() {
	cat >"$etc/glance-api.conf" <<-C
		[DEFAULT]
		bind_host = 127.0.0.1
		bind_port = $port_glance
		workers = 1
		show_image_direct_url = true
		show_multiple_locations = true
		enabled_backends = rbd:rbd
		enabled_import_methods = [glance-direct]
		worker_self_reference_url = http://127.0.0.1:$port_glance
		[database]
		connection = $(database glance)
		[paste_deploy]
		flavor = keystone
		config_file = /etc/glance/glance-api-paste.ini
		[glance_store]
		default_backend = rbd
		[rbd]
		store_description = RBD
		rbd_store_pool = images
		rbd_store_user = glance
		rbd_store_ceph_conf = $conf
		rbd_store_chunk_size = 8
		[os_glance_staging_store]
		filesystem_store_datadir = $cloud/glance/staging
		[os_glance_tasks_store]
		filesystem_store_datadir = $cloud/glance/tasks
		[oslo_concurrency]
		lock_path = $cloud/glance/lock
		$(token glance)
	C
}

# config_libvirt: guests run as root and in no namespace, nothing is labelled, and
# no virtlogd is wanted. The second file lies over /etc/libvirt for that daemon.
config_libvirt() {
	cat >"$etc/libvirtd.conf" <<-C
		unix_sock_rw_perms = "0700"
		auth_unix_ro = "none"
		auth_unix_rw = "none"
		host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
		log_outputs = "3:stderr"
	C
	cat >"$cloud/libvirt/etc/qemu.conf" <<-C
		user = "root"
		group = "root"
		security_driver = "none"
		namespaces = [ ]
		stdio_handler = "file"
		remember_owner = 0
	C
}
