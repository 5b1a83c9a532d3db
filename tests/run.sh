#!/usr/bin/env bash
# run.sh [bench|chaos]: installs what the tests need, runs all of them (or the benchmark, or the long chaos test), and
# checks that the host is as before. As root, or as a user who may use sudo: containers need root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
what=${1:-test}

say() { printf '\n== %s\n' "$*"; }

command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
command -v cargo >/dev/null || {
    echo "no cargo: install a Rust toolchain (1.88 or later) first, https://rustup.rs" >&2
    exit 1
}
packages=(
    "gcc:links the program" "libc6-dev:links the program"
    "busybox-static:what runs in most test containers"
    "iproute2:a second opinion on links and namespaces" "nftables:a second opinion on rules"
    "redis-tools:holds the redis server and its client"
)
if [ "$what" = test ]; then
    packages+=(
        "bsdutils:script(1), a terminal for exec"
        "docker-registry:a real registry on loopback" "skopeo:a second opinion on images"
        "runc:a second opinion on containers" "strace:shows what a failing test did"
        "git:files in repositories" "curl:requests" "jq:reads JSON" "util-linux:namespaces for tests"
        "mmdebstrap:builds the example's images" "python3-pip:fetches the example's stand-in for mongo"
    )
fi
examples/packages.sh "${packages[@]}"

# Built by the user who calls; what starts containers runs as root.
if [ "$(id -u)" != 0 ]; then
    host=$(rustc -vV | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
    export "CARGO_TARGET_${host}_RUNNER=sudo --preserve-env"
    as_root() { sudo "$@"; }
else
    as_root() { "$@"; }
fi

if [ "$what" = bench ]; then
    say "Benchmark (builds in release mode first)"
    exec timeout 3000 cargo bench --locked --bench config --bench plan --bench up --bench dependencies --bench watch
fi

if [ "$what" = chaos ]; then
    export STACK_CHAOS_FAULTS=${STACK_CHAOS_FAULTS:-300}
    say "$STACK_CHAOS_FAULTS random faults (seed: ${STACK_CHAOS_SEED:-random})"
    exec timeout 3000 cargo test --locked --test kernel -- --exact chaos::a_stack_survives_random_faults --nocapture
fi

before=$(mktemp) after=$(mktemp)
trap 'rm -f "$before" "$after"' EXIT
as_root tests/leftovers.sh >"$before"

say "Format and lints"
cargo fmt --check
timeout 2400 cargo clippy --locked --all-targets -- --deny warnings

say "Images of the example (cached in target/images)"
as_root timeout 900 examples/databases/images.sh build redis mysql mongo web

say "Tests"
status=0
if ! command -v cargo-nextest >/dev/null && ! PATH=$PWD/target/tools/bin:$PATH command -v cargo-nextest >/dev/null; then
    echo "cargo-nextest is missing: building it into target/tools (minutes, once)"
    timeout 1500 cargo install --quiet --locked --root target/tools cargo-nextest || echo "... in vain: cargo test it is"
fi
PATH=$PWD/target/tools/bin:$PATH
if command -v cargo-nextest >/dev/null; then
    timeout 3000 cargo nextest run --locked || status=$?
    timeout 600 cargo test --quiet --locked --doc || status=$?
else
    # Without nextest nothing gives single tests the machine to themselves: one after the other, then.
    timeout 3000 cargo test --locked -- --test-threads=1 || status=$?
fi

say "Real Compose files, beside what the reference tool makes of them"
corpus=${STACK_CORPUS:-../shared/corpus}
if [ -x "$corpus/compare.py" ]; then
    timeout 900 "$corpus/compare.py" --cmd "$PWD/target/debug/stack" || status=1
else
    echo "ignored: there is no collection of them at $corpus (STACK_CORPUS names another place)"
fi

if [ "$(id -u)" != 0 ]; then
    as_root chown -R "$(id -u):$(id -g)" target/images target/tmp
fi

say "What the tests left on the host"
# Daemons leave by themselves a moment after their last container.
for _ in $(seq 50); do
    as_root tests/leftovers.sh >"$after"
    diff "$before" "$after" >/dev/null && break
    sleep 0.1
done
if diff "$before" "$after"; then
    echo "nothing: no process, mount, link, namespace, cgroup directory or nft table more than before"
else
    echo "the tests left the above on the host" >&2
    status=1
fi
exit "$status"
