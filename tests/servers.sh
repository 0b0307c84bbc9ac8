#!/bin/sh
# PostgreSQL, Redis, Chromium and nginx for the tests: installed from the system's packages when missing and permitted.
set -eu
missing=""
optional=""
command -v redis-server >/dev/null || missing="$missing redis-server"
for browser in chromium-headless-shell chromium google-chrome; do command -v $browser >/dev/null && break; done ||
    missing="$missing chromium"
ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1 || command -v initdb >/dev/null || missing="$missing postgresql"
command -v nginx >/dev/null || [ -x /usr/sbin/nginx ] || optional=" nginx"  # its test is skipped without it
[ -z "$missing$optional" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing$missing$optional for the tests…"
    apt-get update -qq
    # Chromium without windows takes less of the processor, where the system has it.
    ! apt-cache show chromium-headless-shell >/dev/null 2>&1 ||
        missing=$(echo "$missing" | sed 's/chromium/chromium-headless-shell/')
    # shellcheck disable=SC2086
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing $optional >/dev/null
elif [ -n "$missing" ]; then
    echo "The tests need$missing: install them (Debian, Ubuntu: sudo apt-get install$missing), then run make test again."
    exit 1
fi
