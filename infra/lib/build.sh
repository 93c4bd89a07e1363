# shellcheck shell=bash
# Release builds of the programs. Needs say.sh and process.sh, and `root`, the repository's folder. MINECART_BIN names
# another folder of programs, for trying scripts without release builds.

# shellcheck disable=SC2154 # Set by the script that sources this.
release_bin=${MINECART_BIN:-$root/.build/release}

# build_release NAME...: builds these products with the Swift runtime linked in.
build_release() {
    local name
    for name in "$@"; do
        say "building $name (release; the first build takes some minutes)"
        run_group swift build --package-path "$root" -c release --static-swift-stdlib --product "$name" >&2 ||
            fail "swift build of $name failed; the compiler's words stand above"
    done
}

require_built() {
    local name
    for name in "$@"; do
        [ -x "$release_bin/$name" ] || fail "$release_bin/$name is not there; build it by leaving out --no-build"
    done
}
