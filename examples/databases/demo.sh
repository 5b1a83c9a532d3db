#!/usr/bin/env bash
# Brings the databases example up on a Debian machine where nothing was prepared, and shows that it works.
# Run by `make demo` as root or as a user who may use sudo. Running it again is quick and changes nothing.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
program=$top/target/release/stack
file=$here/stack.yml
redis_port=${REDIS_PORT:-6379} mongo_port=${MONGO_PORT:-27017} mysql_port=${MYSQL_PORT:-3306} web_port=${WEB_PORT:-8080}

say() { printf '\n\033[1m== %s\033[0m\n' "$*"; }
die() {
    printf '\ndemo: %s\n' "$*" >&2
    exit 1
}

if [ "$(id -u)" = 0 ]; then
    as_root() { "$@"; }
    sudo=
else
    command -v sudo >/dev/null || die "containers need root: run this as root, or install sudo"
    as_root() { sudo --preserve-env=STACK_ROOT,STACK_RUN,STACK_LOG,STACK,REDIS_PORT,MONGO_PORT,MYSQL_PORT,WEB_PORT "$@"; }
    sudo="sudo "
fi
# run SECONDS COMMAND...: shows the command, then executes it within the time.
run() {
    local limit=$1
    shift
    printf '\033[2m$ %s\033[0m\n' "$*"
    as_root timeout "$limit" "$@"
}

# ---- What the demo needs of Debian, and why ----
"$top/examples/packages.sh" \
    "redis-tools:redis-cli, to talk to redis" \
    "mariadb-client:a mysql client" \
    "python3-pymongo:a MongoDB client" \
    "curl:to ask the web service, and whether a registry can be reached" \
    "mmdebstrap:to build the web service's image, and stand-ins for the others without a registry" \
    "python3-pip:to fetch the stand-in for mongo" \
    "gcc:links the program" "libc6-dev:links the program"

# ---- Build ----
say "Building stack (release mode; minutes the first time)"
command -v cargo >/dev/null || PATH=$HOME/.cargo/bin:$PATH
command -v cargo >/dev/null || die "no cargo: install a Rust toolchain (1.88 or later) first, https://rustup.rs"
(cd "$top" && timeout 1800 cargo build --release --locked --bin stack)

# ---- Images ----
say "Images"
have() { as_root timeout 20 "$program" image inspect "$1" >/dev/null 2>&1; }
# Tells whether Docker Hub answers at all; five seconds are long for that.
registry() { curl --silent --output /dev/null --max-time 5 https://registry-1.docker.io/v2/; }

missing=()
for name in redis:7 mongo:7 mysql:8; do
    if have "$name"; then echo "$name is there"; else missing+=("$name"); fi
done
standins=()
if [ ${#missing[@]} -gt 0 ]; then
    if registry; then
        for name in "${missing[@]}"; do
            run 900 "$program" image pull "$name" || standins+=("${name%:*}")
        done
    else
        standins=("${missing[@]%:*}")
    fi
fi
if [ ${#standins[@]} -gt 0 ]; then
    echo "No registry could be reached for ${standins[*]}: building local stand-ins of the same names from Debian's"
    echo "packages (redis-server, mariadb-server) and PyPI's secantusdb, a server that speaks MongoDB's protocol."
    echo "(To have the official ones later: \`stack image rm\` these, then run this again.)"
    as_root env STACK="$program" timeout 1200 "$here/images.sh" import "${standins[@]}"
fi
if ! have stack-demo-web || [ ! -e "$top/target/images/web.tar" ] || [ "$here/web/app.py" -nt "$top/target/images/web.tar" ]; then
    as_root env STACK="$program" timeout 600 "$here/images.sh" import web
fi
if [ -n "${SUDO_USER:-}$sudo" ] && [ -d "$top/target/images" ]; then
    as_root chown -R "$(stat -c %u:%g "$top/target")" "$top/target/images"
fi

# ---- Up ----
say "Up"
began=$(date +%s%N)
run 300 "$program" -f "$file" up -d --wait || {
    as_root timeout 20 "$program" -f "$file" logs --tail 20 >&2 || true
    die "the stack did not come up; above are its last log lines"
}
echo "up and healthy after $((($(date +%s%N) - began) / 1000000)) ms"

say "What runs"
run 20 "$program" -f "$file" ps

# ---- Real requests, each from this machine through a published port ----
# ask WHAT EXPECTED COMMAND...: shows the command and its answer, which must match the pattern.
ask() {
    local what=$1 expected=$2 answer
    shift 2
    say "$what"
    printf '\033[2m$ %s\033[0m\n' "$*"
    answer=$(timeout 30 "$@" 2>&1) || die "$what failed: $answer"
    printf '%s\n' "$answer"
    [[ $answer =~ $expected ]] || die "$what: expected $expected"
}

ask "redis" 'from the host' redis-cli -h 127.0.0.1 -p "$redis_port" --raw \
    EVAL "redis.call('SET', KEYS[1], ARGV[1]) return redis.call('GET', KEYS[1])" 1 greeting "hello from the host"
ask "mysql" '42' mariadb --host=127.0.0.1 --port="$mysql_port" --user=demo --password="${MYSQL_PASSWORD:-example}" \
    --connect-timeout=10 --table demo --execute="CREATE TABLE IF NOT EXISTS greetings (id INT PRIMARY KEY, text VARCHAR(40));
        REPLACE INTO greetings VALUES (42, 'hello from the host'); SELECT VERSION(), id, text FROM greetings"
ask "mongo" 'from the host' /usr/bin/python3 -c "
import pymongo
greetings = pymongo.MongoClient('127.0.0.1', $mongo_port, serverSelectionTimeoutMS=10000).demo.greetings
greetings.replace_one({'_id': 1}, {'_id': 1, 'text': 'hello from the host'}, upsert=True)
print(greetings.find_one({'_id': 1}))"
ask "web, first visit" '"redis".*"mysql".*"mongo"' curl --silent --show-error --fail --max-time 20 "http://127.0.0.1:$web_port/"
ask "web, one more" '"redis".*"mysql".*"mongo"' curl --silent --show-error --fail --max-time 20 "http://127.0.0.1:$web_port/"

# ---- How to go on ----
say "It works. What you can do now"
where=${file#"$PWD/"} short=${program#"$PWD/"}
cat <<END
  ${sudo}$short -f $where logs -f            watch what the services say
  ${sudo}$short -f $where exec redis redis-cli
  ${sudo}$short -f $where down               stop and remove everything but the data
  ${sudo}$short -f $where down -v            and the data
END
