# shellcheck shell=bash
# A private Postgres and a private Redis of a stack, on loopback, gone with it. Needs say.sh and
# process.sh.

# Postgres refuses to run as root; then it runs as the user that its Debian package made.
database_user=()
[ "$(id -u)" -ne 0 ] || database_user=(setpriv --reuid=postgres --regid=postgres --init-groups --)

postgres_programs() {
    local found
    found=$(find /usr/lib/postgresql -mindepth 3 -maxdepth 3 -name initdb 2>/dev/null | sort -V | tail -n 1)
    [ -n "$found" ] || fail "Postgres is not installed; run infra/setup first"
    dirname "$found"
}

postgres_answers() { "$(postgres_programs)/pg_isready" -q -h 127.0.0.1 -p "$1" -U minecart -d postgres; }

# Being asked for a password is an answer too.
redis_answers() { redis-cli -h 127.0.0.1 -p "$1" ping; }

# start_postgres DIR PORT PASSWORD: a database "minecart" owned by the user "minecart".
start_postgres() {
    local dir=$1 port=$2 password=$3 bin data
    bin=$(postgres_programs)
    # Beside DIR, since its user may not be allowed to walk to DIR.
    data=$(mktemp -d "${TMPDIR:-/tmp}/minecart-postgres.XXXXXX")
    echo "$data" >"$dir/run/postgres.data"
    printf '%s\n' "$password" >"$data/password"
    [ "$(id -u)" -ne 0 ] || chown -R postgres:postgres "$data"
    ${database_user[@]+"${database_user[@]}"} "$bin/initdb" --pgdata="$data/cluster" --username=minecart --pwfile="$data/password" \
        --auth=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8 --no-sync >"$dir/logs/initdb.log" 2>&1 || {
        show_log "$dir/logs/initdb.log"
        fail "initdb failed; its words stand above"
    }
    rm -f "$data/password"
    # Thrown away with the stack, so nothing waits for the disk; a killed server still recovers from what it wrote.
    local settings=(listen_addresses=127.0.0.1 "port=$port" unix_socket_directories= max_connections=200
        shared_buffers=64MB fsync=off full_page_writes=off log_min_messages=warning)
    local arguments=() setting
    for setting in "${settings[@]}"; do arguments+=(-c "$setting"); done
    start_process "$dir" postgres ${database_user[@]+"${database_user[@]}"} \
        "$bin/postgres" -D "$data/cluster" "${arguments[@]}"
    wait_ready "$dir" postgres 30 postgres_answers "$port"
    PGPASSWORD=$password "$bin/psql" -q -h 127.0.0.1 -p "$port" -U minecart -d postgres \
        -c 'create database minecart' >>"$dir/logs/initdb.log" 2>&1 ||
        fail "the database could not be created; see $dir/logs/initdb.log"
}

# remove_postgres_data DIR: what start_postgres put beside DIR.
remove_postgres_data() {
    local data
    data=$(cat "$1/run/postgres.data" 2>/dev/null) || return 0
    case $data in */minecart-postgres.??????) rm -rf -- "$data" ;; esac
}

# start_redis DIR NAME PORT CONTROL_PASSWORD RELAY_PASSWORD: users "control" (everything) and "relay" (reads assignments,
# writes load: a stolen relay key reroutes nobody).
start_redis() {
    local dir=$1 name=$2 port=$3 control_password=$4 relay_password=$5
    mkdir -p "$dir/$name"
    {
        echo "user default off"
        echo "user control on >$control_password ~* &* +@all"
        echo "user relay on >$relay_password resetkeys resetchannels -@all" \
            "%R~snapshot:* ~load:* ~heartbeat:* &assignments:*" \
            "+ping +hello +auth +select +client +quit +get +set +expire +zadd +zrem +del +subscribe +unsubscribe" \
            "(resetkeys resetchannels -@all &load:* +publish)"
    } >"$dir/run/$name.acl"
    start_process "$dir" "$name" redis-server --bind 127.0.0.1 --port "$port" --dir "$dir/$name" --save '' \
        --appendonly no --daemonize no --aclfile "$dir/run/$name.acl"
    wait_ready "$dir" "$name" 15 redis_answers "$port"
}
