#!/usr/bin/env bash
# run.sh [SECONDS]: runs every fuzz target for so long (60), from a corpus that is made first: of the real files in
# ../shared/corpus where they are (or $STACK_CORPUS), and of the cases in tests/compose. What makes a target fail is kept in fuzz/artifacts.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"
seconds=${1:-60}

command -v cargo-fuzz >/dev/null || PATH=$PWD/../target/tools/bin:$PATH
command -v cargo-fuzz >/dev/null || {
    echo "cargo-fuzz is missing: building it into target/tools (minutes, once)"
    cargo install --quiet --locked --root ../target/tools cargo-fuzz
}
# The stable compiler can do it, it only does not say so.
export RUSTC_BOOTSTRAP=1

mkdir -p corpus/load corpus/interpolate corpus/dotenv corpus/short
real=${STACK_CORPUS:-../../shared/corpus}
for folder in "$real"/*/; do
    [ -d "$folder" ] || continue
    seed=corpus/load/$(basename "$folder")
    find "$folder" -type f -size -32k \( -name '*.yml' -o -name '*.yaml' -o -name '*env*' \) -printf '%P\n' | sort |
        while read -r file; do
            printf '=== %s\n' "$file"
            sed -e '$a\' "$folder/$file"
        done >"$seed"
    [ -s "$seed" ] || rm "$seed"
    find "$folder" -type f -size -32k -name '*env' -exec cp {} "corpus/dotenv/$(basename "$folder")" \;
done
# The files of each case; what is said of them is not a part.
for row in ../tests/compose/rows/*.txt; do
    awk -v seed="corpus/load/$(basename "$row" .txt)" '
        /^== / { n++; inside = 0; next }
        /^-- file / { inside = 1; print "=== " $3 > (seed "-" n); next }
        /^-- / { inside = 0; next }
        inside { print > (seed "-" n) }
    ' "$row"
done
grep -rhoE '\$\{[^}]*\}+' corpus/load | sort -u | split -l 1 -a 4 - corpus/interpolate/seed-
n=0
while read -r attribute value; do
    n=$((n + 1))
    printf '%s\n%s' "$attribute" "$value" >"corpus/short/seed-$n"
done <<'SEEDS'
ports 127.0.0.1:8000-8002:80-82/udp
ports 80
volumes ./data:/data:ro,z
volumes name:/path:nocopy
command sh -c "echo 'a b' \$(date) > x"
entrypoint a\ b ''
devices /dev/a:/dev/b:rwm
extra_hosts host:[::1]
mem_limit 1.5g
stop_grace_period 1h2m3.5s
restart on-failure:3
tmpfs /run:size=64m,mode=1777
image registry:5000/name:tag@sha256:0000000000000000000000000000000000000000000000000000000000000000
healthcheck CMD-SHELL true
cpus 0.5
ulimits 1024
SEEDS

for target in load interpolate dotenv short; do
    echo "== $target, $seconds s"
    cargo fuzz run --sanitizer none "$target" -- \
        -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -max_len=16384 -print_final_stats=1
done
