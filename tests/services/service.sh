# Ground of the scripts beside this file; sourced, never run.
#
# A service script is called `NAME up|down|status`. It sets `NAME`, defines `up`, may define `after_down`
# and set `STOP_SIGNAL`, and ends with `service "$@"`. Addresses go to $STATE/services.env, one for all.
set -euo pipefail

: "${SLIPWAY_TEST_CACHE:=${XDG_CACHE_HOME:-$HOME/.cache}/slipway-test}"
: "${SLIPWAY_TEST_STATE:=${TMPDIR:-/tmp}/slipway-services-$(id -u)}"
CACHE=$SLIPWAY_TEST_CACHE
STATE=$SLIPWAY_TEST_STATE
export PATH="$CACHE/bin:$CACHE/cargo/bin:$PATH:/usr/sbin:/sbin"

say() { printf '%s: %s\n' "${NAME:-services}" "$*" >&2; }
die() { say "$*"; exit 1; }

# What stands before a command that needs root, and before one that refuses root.
if [ "$(id -u)" -eq 0 ]; then
    AS_ROOT=()
    AS_POSTGRES=(setpriv --reuid=postgres --regid=postgres --init-groups)
else
    AS_ROOT=(sudo)
    AS_POSTGRES=()
fi

# A loopback port nobody listens on, below the kernel's ephemeral range.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 12000))
        if ! (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; then
            echo "$port"
            return
        fi
    done
}

# The first three numbers of a subnet that this machine has no use for yet.
free_subnet() {
    local third
    for third in $(seq 1 250); do
        if [ -z "$(ip route list exact "172.31.$third.0/24")" ]; then
            echo "172.31.$third"
            return
        fi
    done
    die "no free subnet in 172.31.0.0/16"
}

# wait_for SECONDS WHAT COMMAND...: until the command succeeds; dies with WHAT at the deadline.
wait_for() {
    local deadline=$((SECONDS + $1)) what=$2
    shift 2
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$deadline" ] || {
            tail -n 30 "$DIR/log" >&2 2>/dev/null || true
            die "$what: not within its deadline (log: $DIR/log)"
        }
        sleep 0.1
    done
}

# A process id may be used again by a stranger: the start time beside it tells them apart.
start_time() { awk '{ sub(/^.*\) /, ""); print $20 }' "/proc/$1/stat" 2>/dev/null; }

running() {
    local pid started
    [ -s "$DIR/pid" ] && read -r pid started <"$DIR/pid" && [ "$(start_time "$pid")" = "$started" ]
}

remember_pid() { echo "$1 $(start_time "$1")" >"$DIR/pid"; }

# Starts a long-lived program in a session of its own, its output in the service's log.
start() {
    setsid "$@" </dev/null >>"$DIR/log" 2>&1 &
    remember_pid $!
}

stop() {
    local pid
    running || return 0
    read -r pid _ <"$DIR/pid"
    "${AS_ROOT[@]}" kill -"${STOP_SIGNAL:-TERM}" "$pid" 2>/dev/null || true
    local deadline=$((SECONDS + 20))
    while running; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            say "did not stop in 20 s, killing $pid"
            "${AS_ROOT[@]}" kill -KILL "$pid" 2>/dev/null || true
            deadline=$((SECONDS + 20))
        fi
        sleep 0.1
    done
}

# put_env KEY=VALUE...: this service's lines in the environment file, old ones replaced.
put_env() {
    printf '%s\n' "$@" >"$DIR/env"
    gather_env
}

gather_env() {
    cat "$STATE"/*/env >"$STATE/services.env.$$" 2>/dev/null || true
    mv "$STATE/services.env.$$" "$STATE/services.env"
}

clean_up() {
    stop
    if declare -F after_down >/dev/null; then after_down; fi
    if [ -d "$DIR" ]; then
        "${AS_ROOT[@]}" rm -rf "$DIR"
        gather_env
    fi
}

service() {
    DIR=$STATE/$NAME
    case ${1:-} in
        up)
            running && return 0
            clean_up
            mkdir -p "$DIR"
            chmod 755 "$STATE" "$DIR"
            up
            ;;
        down) clean_up ;;
        status)
            if running; then echo "$NAME: up"; else echo "$NAME: down"; return 3; fi
            ;;
        *) die "usage: $0 up|down|status" ;;
    esac
}
