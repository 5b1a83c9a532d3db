#!/usr/bin/env bash
# Prints what an engine can leave behind on this host, one a line: compare it before and after.
set -euo pipefail
export LC_ALL=C

for process in /proc/[0-9]*; do
    program=$(readlink "$process/exe" 2>/dev/null) || continue
    # A shim runs its program from a mount of its own, whose root is the file.
    case $program:$(cat "$process/comm" 2>/dev/null || true) in
    */stack:* | */stack" (deleted):"* | /:stack-shim*) echo "process ${process#/proc/} $program" ;;
    esac
done
awk '$3 != "autofs" { print "mount", $2 }' /proc/self/mounts | sort
for link in /sys/class/net/*; do echo "link ${link##*/}"; done
for name in /run/netns/*; do [ ! -e "$name" ] || echo "namespace ${name##*/}"; done
find /sys/fs/cgroup -mindepth 1 -type d -printf 'cgroup %p\n' | grep -v -e '\.service' -e '\.scope' -e '\.slice' -e '\.mount' | sort || true
{ nft list tables 2>/dev/null || true; } | sort
