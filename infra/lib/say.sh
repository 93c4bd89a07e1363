# shellcheck shell=bash
# What a person sees of a script: progress on standard error, each line with the seconds since the start.

say() {
    printf '[%4d s] %s\n' "$SECONDS" "$*" >&2
}

# fail TEXT...: says what is wrong and what to do, and ends the script.
fail() {
    printf '\n%s: %s\n' "$(basename "$0")" "$*" >&2
    exit 1
}

# show_log FILE [LINES]: the end of a log, indented.
show_log() {
    printf -- '--- the end of %s:\n' "$1" >&2
    tail -n "${2:-25}" "$1" 2>/dev/null | sed 's/^/    /' >&2 || true
}
