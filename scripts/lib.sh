# shellcheck shell=bash
# What the scripts share: finding Rust, making sure that programs are installed, and a place for a private server.
# Sourced, never run.

fail() {
    printf 'error: %s\n' "$1" >&2
    [ $# -lt 2 ] || printf 'hint: %s\n' "$2" >&2
    exit 1
}

has() { command -v "$1" >/dev/null 2>&1; }

# cargo, from PATH or from where rustup puts it: a shell that has not read its profile has only the latter.
ensure_rust() {
    has cargo || PATH="${CARGO_HOME:-${HOME-}/.cargo}/bin:$PATH"
    has cargo || fail "cargo is not on PATH" "install Rust 1.88 or newer: https://rustup.rs"
}

# What the tests need, and what they run.
ensure_test_programs() {
    ensure_rust
    ensure cc=build-essential redis-server=redis-server redis-cli=redis-tools jq=jq script=bsdutils
}

# ensure PROGRAM=PACKAGE... installs the packages of those programs that are missing.
ensure() {
    local pair missing=() packages=()
    for pair in "$@"; do
        has "${pair%%=*}" && continue
        missing+=("${pair%%=*}")
        packages+=("${pair#*=}")
    done
    [ ${#missing[@]} -gt 0 ] || return 0
    has apt-get || fail "not installed: ${missing[*]}" "$(how_to_install)"
    apt_install "${packages[@]}"
}

how_to_install() {
    if [ "$(uname -s)" = Darwin ]; then
        echo "brew install redis jq"
    else
        echo "install them with this system's package manager, then run the script again"
    fi
}

as_root() {
    if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# The package lists are fetched only when apt finds a package missing from those it has, or has them out of date.
apt_install() {
    [ "$(id -u)" = 0 ] || has sudo ||
        fail "not installed: $*, and there is no sudo" "as root: apt-get install --no-install-recommends $*"
    printf 'installing: %s\n' "$*"
    apt_get_install "$@" >/dev/null 2>&1 && return
    as_root apt-get update -qq >/dev/null
    apt_get_install "$@" >/dev/null || fail "apt-get could not install: $*"
}

# Debian's redis-server package starts a service on port 6379 and enables it at boot. Neither is wanted here: a
# policy-rc.d that answers 101 forbids the start (one that stands already is the owner's choice and is left alone).
apt_get_install() {
    # shellcheck disable=SC2016  # expanded by the inner shell
    as_root env DEBIAN_FRONTEND=noninteractive sh -c '
        policy=/usr/sbin/policy-rc.d
        if [ ! -e "$policy" ]; then
            trap "rm -f $policy" EXIT
            trap "exit 130" INT TERM HUP
            printf "#!/bin/sh\nexit 101\n" >"$policy" && chmod 755 "$policy"
        fi
        before=$(command -v redis-server)
        apt-get install -y -qq --no-install-recommends "$@" || exit
        if [ -z "$before" ] && [ -d /run/systemd/system ] && command -v redis-server >/dev/null; then
            systemctl disable --quiet redis-server
        fi' apt "$@" </dev/null
}

# Makes $work, a directory that is gone when the script ends, and with it the processes ${servers[@]}, if any are started.
make_work_directory() {
    # Not under $TMPDIR, which may be too long for a socket's path.
    work=$(mktemp -d /tmp/redis-streamer.XXXXXX)
    servers=()
    trap clean_up EXIT
    trap 'exit 130' INT
    trap 'exit 143' TERM
}

clean_up() {
    local server
    for server in ${servers[@]+"${servers[@]}"}; do
        kill "$server" 2>/dev/null || true
        wait "$server" 2>/dev/null || true
    done
    rm -rf "$work"
}

# expect WHAT EXPECTED GOT
expect() { [ "$2" = "$3" ] || fail "$1: expected $2, got $3"; }
