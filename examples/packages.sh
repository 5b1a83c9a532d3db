#!/usr/bin/env bash
# packages.sh NAME:WHY...: installs those Debian packages that are missing, as root or through sudo, and says why.
set -euo pipefail

missing=() reasons=()
for wanted; do
    name=${wanted%%:*}
    status=$(dpkg-query --show --showformat='${db:Status-Status}' "$name" 2>/dev/null) || status=
    if [ "$status" != installed ]; then
        missing+=("$name")
        reasons+=("$wanted")
    fi
done
[ ${#missing[@]} -gt 0 ] || exit 0

echo "Installing Debian packages that are missing here:"
for wanted in "${reasons[@]}"; do
    printf '  %-18s %s\n' "${wanted%%:*}" "${wanted#*:}"
done
sudo=()
if [ "$(id -u)" != 0 ]; then
    command -v sudo >/dev/null || {
        echo "Not root and no sudo: install them with apt-get, then run this again." >&2
        exit 1
    }
    sudo=(sudo)
fi
install() {
    "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive timeout 900 \
        apt-get -o DPkg::Lock::Timeout=120 -qq -y --no-install-recommends install "${missing[@]}" >"$log" 2>&1
}
log=$(mktemp)
trap 'rm -f "$log"' EXIT
# The package lists may be old or not there at all: fetch them only when the first try says so.
install || {
    "${sudo[@]}" timeout 300 apt-get -o DPkg::Lock::Timeout=120 -qq update >/dev/null
    install
} || {
    tail -n 20 "$log" >&2
    echo "apt-get could not install ${missing[*]}" >&2
    exit 1
}
