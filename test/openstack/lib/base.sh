#!/usr/bin/env bash
# shellcheck disable=SC2154,SC2034 # variables of, and for, the other parts
# Sourced: what OpenStack's services share, and their schemas.

# base_up starts MariaDB, memcached and RabbitMQ, and waits for the first.
base_up() {
	if [[ ! -d $cloud/mysql/mysql ]]; then
		mariadb-install-db --no-defaults --datadir="$cloud/mysql" --user=root \
			--auth-root-authentication-method=normal --skip-test-db >"$log/mysql-install.log" 2>&1
	fi
	# A transaction that a power cut loses is of no account here.
	start mariadb mariadbd --no-defaults --user=root --datadir="$cloud/mysql" \
		--socket="$run/mysql.sock" --pid-file="$run/mysqld.own" \
		--bind-address=127.0.0.1 --port="$port_mysql" --max-connections=500 \
		--innodb-buffer-pool-size=192M --innodb-flush-log-at-trx-commit=2 --skip-name-resolve
	start memcached memcached -u root -l 127.0.0.1 -p "$port_memcached" -U 0 -m 64
	start epmd epmd -address 127.0.0.1 -port "$port_epmd"
	await epmd 60 listening "$port_epmd"
	rabbit_start
	await mariadb 180 sql -e 'select 1'
	local name
	for name in keystone glance cinder placement nova_api nova nova_cell0; do
		echo "CREATE DATABASE IF NOT EXISTS $name CHARACTER SET utf8;"
	done | sql
	sql -e "CREATE USER IF NOT EXISTS cloud@'127.0.0.1' IDENTIFIED BY '$password';
		GRANT ALL ON *.* TO cloud@'127.0.0.1'; FLUSH PRIVILEGES"
}

sql() {
	mariadb --no-defaults --socket="$run/mysql.sock" -uroot "$@"
}

# rabbit_start runs the server itself: /usr/sbin/rabbitmq-server would become the
# user rabbitmq first. Unless told so three times, it listens beyond loopback.
rabbit_start() {
	local loopback='-kernel inet_dist_use_interface {127,0,0,1}'
	start rabbitmq env ERL_EPMD_ADDRESS=127.0.0.1 ERL_EPMD_PORT="$port_epmd" \
		RABBITMQ_NODENAME="openstack$base@localhost" \
		RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 RABBITMQ_NODE_PORT="$port_rabbit" \
		RABBITMQ_DIST_PORT="$port_rabbit_dist" \
		RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS="$loopback +sbwt none +S 2:2" \
		RABBITMQ_CTL_ERL_ARGS="$loopback" \
		RABBITMQ_MNESIA_BASE="$cloud/rabbitmq/mnesia" RABBITMQ_LOG_BASE="$log" RABBITMQ_LOGS=- \
		RABBITMQ_CONFIG_FILE="$cloud/rabbitmq/rabbitmq.conf" \
		RABBITMQ_CONF_ENV_FILE=/nonexistent RABBITMQ_ADVANCED_CONFIG_FILE=/nonexistent \
		RABBITMQ_ENABLED_PLUGINS_FILE="$cloud/rabbitmq/enabled_plugins" \
		RABBITMQ_PID_FILE="$run/rabbitmq.own" \
		/usr/lib/rabbitmq/bin/rabbitmq-server
}

# once NAME COMMAND... does a step of the first start.
once() {
	local name=$1
	shift
	[[ -e $cloud/done-$name ]] && return
	if ! bare HOME="$home" "$@" >>"$log/schema-$name.log" 2>&1; then
		echo "openstack: $name failed; the end of $log/schema-$name.log:" >&2
		tail -n 15 "$log/schema-$name.log" >&2
		return 1
	fi
	touch "$cloud/done-$name"
}

# schemas makes every service's tables, the independent ones side by side.
schemas() {
	local jobs=() job failed=0
	(schemas_identity) 9>&- &
	jobs+=($!)
	(schemas_storage) 9>&- &
	jobs+=($!)
	for job in "${jobs[@]}"; do wait "$job" || failed=1; done
	return "$failed"
}

schemas_identity() {
	local manage=(keystone-manage --config-file "$etc/keystone.conf")
	local url=http://127.0.0.1:$port_keystone/v3
	once keystone "${manage[@]}" db_sync &&
		once fernet "${manage[@]}" fernet_setup --keystone-user root --keystone-group root &&
		once credential "${manage[@]}" credential_setup --keystone-user root --keystone-group root &&
		once bootstrap "${manage[@]}" bootstrap --bootstrap-password "$password" \
			--bootstrap-admin-url "$url" --bootstrap-internal-url "$url" \
			--bootstrap-public-url "$url" --bootstrap-region-id RegionOne &&
		once glance glance-manage --config-file "$etc/glance-api.conf" db_sync &&
		once metadefs glance-manage --config-file "$etc/glance-api.conf" db_load_metadefs &&
		once placement placement-manage --config-file "$etc/placement/placement.conf" db sync
}

schemas_storage() {
	local manage=(nova-manage --config-file "$etc/nova.conf")
	once cinder cinder-manage --config-file "$etc/cinder.conf" db sync &&
		once nova-api "${manage[@]}" api_db sync &&
		once cell0 "${manage[@]}" cell_v2 map_cell0 --database_connection "$(database nova_cell0)" &&
		once cell1 "${manage[@]}" cell_v2 create_cell --name cell1 &&
		once nova "${manage[@]}" db sync
}
