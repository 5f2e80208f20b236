#!/usr/bin/env bash
# Runs every test. Installs redis-server first where it is missing, with the system's package manager: the tests start
# servers of their own on free ports and stop them; no service is left running.
#
# Arguments go on to `cargo test`, as in `tests/run.sh -- --nocapture`.
set -eu

cd "$(dirname "${BASH_SOURCE[0]}")/.."

fail() {
    printf 'tests/run.sh: %s\n' "$1" >&2
    exit 1
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        fail "redis-server is missing, and installing it needs root: run '$*' as root, then this again"
    fi
}

# Debian's package starts its service on installation unless this policy, which it asks first, says no.
apt_install() {
    policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy" >/dev/null
        as_root chmod +x "$policy"
        trap 'as_root rm -f "$policy"' EXIT
    fi
    as_root apt-get update
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends redis-server
    if [ "$(trap -p EXIT)" ]; then
        as_root rm -f "$policy"
        trap - EXIT
    fi
    # It is enabled for the next boot all the same.
    if command -v systemctl >/dev/null; then
        as_root systemctl disable --quiet redis-server >/dev/null 2>&1 || true
    fi
}

# Some distributions have Redis's fork in its place, which brings a redis-server too.
install_redis() {
    if command -v apt-get >/dev/null; then
        apt_install
    elif command -v dnf >/dev/null; then
        as_root dnf install -y redis || as_root dnf install -y valkey-compat-redis
    elif command -v yum >/dev/null; then
        as_root yum install -y redis
    elif command -v apk >/dev/null; then
        as_root apk add redis
    elif command -v pacman >/dev/null; then
        as_root pacman -Sy --noconfirm --needed redis || as_root pacman -S --noconfirm --needed valkey
    elif command -v zypper >/dev/null; then
        as_root zypper --non-interactive install redis
    elif command -v brew >/dev/null; then
        brew install redis
    else
        fail "redis-server is missing, and no package manager is known here: install Redis 6.2 or newer"
    fi
}

command -v cargo >/dev/null || fail "cargo is missing: install Rust 1.88 or newer, https://rustup.rs"

if ! command -v redis-server >/dev/null; then
    echo "tests/run.sh: redis-server is missing; installing it"
    install_redis </dev/null
    hash -r
    command -v redis-server >/dev/null || fail "redis-server is still missing after its installation"
fi

# Unit, integration and documentation tests.
exec cargo test --all-features "$@"
