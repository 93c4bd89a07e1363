# shellcheck shell=bash
# Background processes of a stack: DIR/run/NAME.pid holds "pid starttime", NAME.command the words of its command, and
# NAME.env its environment; DIR/logs/NAME.log is what it wrote. The start time keeps a reused process id from being
# taken for ours. Needs say.sh.

# start_time_of PID: clock ticks since boot, field 22 of its stat; fails when there is no such process.
start_time_of() {
    local stat
    stat=$(cat "/proc/$1/stat" 2>/dev/null) || return 1
    stat=${stat##*) }
    # State is field 3, so the start time is the twentieth word after the name; a zombie counts as gone.
    [ "${stat%% *}" != Z ] || return 1
    awk '{print $20}' <<<"$stat"
}

# pid_of DIR NAME: the process id while it runs; fails otherwise.
pid_of() {
    local pid started
    read -r pid started 2>/dev/null <"$1/run/$2.pid" || return 1
    [ "$(start_time_of "$pid")" = "$started" ] || return 1
    echo "$pid"
}

# start_process DIR NAME COMMAND...: starts it in a session of its own, with the variables of DIR/run/NAME.env only.
# They are set by the shell, not through env's arguments, so that no secret shows in a process list.
start_process() {
    local dir=$1 name=$2 pid
    shift 2
    printf '%s\n' "$@" >"$dir/run/$name.command"
    (
        local variable line
        for variable in $(compgen -e); do
            case $variable in PATH | HOME | LANG | USER | LOGNAME) ;; *) unset "$variable" ;; esac
        done
        if [ -f "$dir/run/$name.env" ]; then
            while IFS= read -r line; do export "${line?}"; done <"$dir/run/$name.env"
        fi
        exec setsid "$@" </dev/null >>"$dir/logs/$name.log" 2>&1
    ) &
    pid=$!
    echo "$pid $(start_time_of "$pid" || echo 0)" >"$dir/run/$name.pid"
}

# start_again DIR NAME: starts what start_process started before.
start_again() {
    local words
    mapfile -t words <"$1/run/$2.command"
    start_process "$1" "$2" "${words[@]}"
}

# wait_ready DIR NAME SECONDS COMMAND...: until COMMAND succeeds; shows the log and fails when the process ends first
# or the time is over.
wait_ready() {
    local dir=$1 name=$2 limit_s=$3 ends_at
    shift 3
    ends_at=$((SECONDS + limit_s))
    while ! "$@" >/dev/null 2>&1; do
        if ! pid_of "$dir" "$name" >/dev/null; then
            show_log "$dir/logs/$name.log"
            fail "$name ended at once; its log stands above"
        fi
        if [ "$SECONDS" -ge "$ends_at" ]; then
            show_log "$dir/logs/$name.log"
            fail "$name runs, but is not ready after $limit_s s; its log stands above"
        fi
        sleep 0.1
    done
}

# stop_process DIR NAME [SIGNAL] [SECONDS]: asks it to end, and kills it when it has not after SECONDS.
stop_process() {
    local dir=$1 name=$2 signal=${3:-TERM} limit_s=${4:-10} pid ends_at
    if pid=$(pid_of "$dir" "$name"); then
        kill -s "$signal" "$pid" 2>/dev/null || true
        ends_at=$((SECONDS + limit_s))
        while pid_of "$dir" "$name" >/dev/null; do
            if [ "$SECONDS" -ge "$ends_at" ]; then
                say "$name did not end within $limit_s s: killing it"
                kill -s KILL "$pid" 2>/dev/null || true
                ends_at=$((SECONDS + 5))
            fi
            sleep 0.05
        done
    fi
    rm -f "$dir/run/$name.pid"
}

# run_group COMMAND...: runs it in a process group of its own and waits; end_group ends the whole group, so that a
# signal to the script ends the compilers under it too.
group_pid=

run_group() {
    local result=0
    # A background job of a script starts with Ctrl-C ignored, which its own traps could not undo.
    setsid env --default-signal=INT,QUIT "$@" &
    group_pid=$!
    wait "$group_pid" || result=$?
    group_pid=
    return "$result"
}

end_group() {
    [ -n "$group_pid" ] || return 0
    kill -s TERM -- "-$group_pid" 2>/dev/null || true
    wait "$group_pid" 2>/dev/null || true
    group_pid=
}
