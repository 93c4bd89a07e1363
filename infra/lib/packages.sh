# shellcheck shell=bash
# shellcheck disable=SC2034 # The lists are read by infra/setup.
# Debian packages: which are missing, and installing them as root or through sudo. Needs say.sh.

runtime_packages=(libpq-dev libhiredis-dev libssl-dev pkg-config binutils postgresql redis-server python3 python3-venv
    curl procps util-linux)
test_packages=(shellcheck nsd)
bench_packages=(nginx libnginx-mod-stream haproxy)

is_installed() {
    [ "$(dpkg-query -W -f '${db:Status-Abbrev}' "$1" 2>/dev/null)" = 'ii ' ]
}

# as_root COMMAND...: runs it as root, through sudo for an ordinary user.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then "$@"; else sudo "$@"; fi
}

# install_packages NAME...: installs those that are missing, and says which.
install_packages() {
    local missing=() name
    for name in "$@"; do is_installed "$name" || missing+=("$name"); done
    [ ${#missing[@]} -gt 0 ] || return 0
    command -v apt-get >/dev/null || fail "these packages are missing, and this is no Debian: ${missing[*]}"
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        fail "packages are missing; run as root: apt-get install ${missing[*]}"
    fi
    say "installing Debian packages: ${missing[*]}"
    as_root apt-get update -qq
    keep_services_off
    local result=0
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" \
        >/dev/null || result=$?
    let_services_on
    [ "$result" -eq 0 ] || fail "apt-get could not install: ${missing[*]} (its own words stand above)"
}

# Postgres, Redis and others would start a service of their own; private ones are all that is needed here. Debian's
# policy-rc.d is the door for that; one that is there already stays untouched.
policy_file=/usr/sbin/policy-rc.d
policy_made=no

keep_services_off() {
    [ ! -e "$policy_file" ] || return 0
    printf '#!/bin/sh\nexit 101\n' | as_root tee "$policy_file" >/dev/null
    as_root chmod 755 "$policy_file"
    policy_made=yes
}

let_services_on() {
    [ "$policy_made" = yes ] || return 0
    as_root rm -f "$policy_file"
    policy_made=no
}

require_swift() {
    command -v swift >/dev/null || fail "swift is not on the PATH; install Swift 6.3 (swift.org/install/linux) first"
    local version
    version=$(swift build --version 2>/dev/null | sed -nE 's/.*Swift ([0-9]+\.[0-9]+).*/\1/p' | head -n 1)
    [ "$(printf '6.3\n%s\n' "$version" | sort -V | head -n 1)" = 6.3 ] ||
        fail "Swift 6.3 or later is needed; this one is $version"
}
