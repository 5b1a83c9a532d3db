#!/usr/bin/env bash
# Builds local images for the databases example out of Debian and PyPI packages and hands them to `stack`.
#
#   images.sh build NAME...    makes target/images/NAME.tar, unless it is there and newer than its recipe
#   images.sh import NAME...   builds, then imports the tar under the name that stack.yml uses
#
# NAME is redis, mysql or mongo (stand-ins for the official images, for machines that reach no registry) or
# web (the example's own service). Runs as root: a root filesystem holds files of several owners.
# Needs mmdebstrap, and pip for mongo. STACK names the program, target/release/stack unless set.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
top=$(cd "$here/../.." && pwd)
cache=${STACK_IMAGE_CACHE:-$top/target/images}
stack=${STACK:-$top/target/release/stack}
suite=bookworm
python=python3.11 # the one of $suite

# What every image holds besides its own packages: a shell, the tools of its entrypoint, users, the loader's cache.
base_packages=base-files,base-passwd,coreutils,dash,findutils,grep,libc-bin,sed,util-linux

die() {
    echo "images.sh: $*" >&2
    exit 1
}

# extract DIR PACKAGES: unpacks the packages with what they depend on. Nothing of them is executed, which takes
# seconds instead of half a minute and needs neither /proc nor a running system inside.
extract() {
    local log=$1.log
    if ! timeout 600 mmdebstrap --quiet --mode=root --variant=extract --format=directory \
        --include="$base_packages,$2" "$suite" "$1" >"$log" 2>&1; then
        tail -n 20 "$log" >&2
        die "mmdebstrap could not unpack $2"
    fi
    rm -f "$log"
    install -d "$1/usr/local/bin"
}

# finish DIR [USER UID HOME]: does by hand what the packages' scripts would do, and leaves out what no container reads.
finish() {
    local dir=$1
    cp "$dir/usr/share/base-passwd/passwd.master" "$dir/etc/passwd"
    cp "$dir/usr/share/base-passwd/group.master" "$dir/etc/group"
    if [ $# -gt 1 ]; then
        echo "$2:x:$3:$3::$4:/usr/sbin/nologin" >>"$dir/etc/passwd"
        echo "$2:x:$3:" >>"$dir/etc/group"
    fi
    echo 'hosts: files dns' >"$dir/etc/nsswitch.conf"
    (
        cd "$dir"
        rm -rf usr/share/{doc,man,info,locale,lintian,bug,bash-completion,perl,perl5,common-licenses,i18n,gcc} \
            usr/lib/*/perl usr/lib/*/perl-base usr/bin/*perl* usr/lib/*/libperl* usr/bin/{dpkg,apt,deb}* \
            usr/lib/{dpkg,apt,systemd,tmpfiles.d,sysusers.d} lib/systemd var/lib/{dpkg,apt} var/cache/* var/log/* \
            etc/{apt,dpkg,init.d,logrotate.d,cron*,pam*,systemd,rc*.d} usr/share/{pam*,debconf,adduser}
        mkdir -p proc sys dev run tmp var/tmp
        chmod 1777 tmp var/tmp
    )
    ldconfig -r "$dir"
}

build_redis() {
    extract "$1" redis-server
    rm -f "$1"/usr/bin/redis-benchmark
    install -m 755 "$here/standins/redis-entrypoint" "$1/usr/local/bin/docker-entrypoint.sh"
    finish "$1" redis 999 /data
    install -d -o 999 -g 999 "$1/data"
}

build_mysql() {
    extract "$1" mariadb-server-core,mariadb-client
    # Each tool is 5 MB; a server needs few of them.
    rm -f "$1"/usr/bin/{aria_*,innochecksum,mariadb-{binlog,check,conv,import,plugin,show,slap,tzinfo*,upgrade,waitpid}} \
        "$1"/usr/bin/{mysql_{convert,plugin,tzinfo,upgrade,waitpid}*,mysql{binlog,check,import,show,slap},mytop,perror} \
        "$1"/usr/bin/{replace,resolve_stack_dump}
    install -m 755 "$here/standins/mysql-entrypoint" "$1/usr/local/bin/docker-entrypoint.sh"
    finish "$1" mysql 999 /var/lib/mysql
    install -d -o 999 -g 999 "$1/var/lib/mysql" "$1/run/mysqld"
}

build_mongo() {
    extract "$1" python3,libstdc++6
    local wheels=$1/usr/local/lib/$python/dist-packages arch
    arch=$(uname -m)
    # The wheels are chosen for the image's Python, whatever runs pip here.
    # Its complaints about packages of this machine are beside the point.
    timeout 600 python3 -m pip --quiet --disable-pip-version-check install --no-compile --only-binary=:all: \
        --implementation cp --python-version "${python#python}" \
        --platform "manylinux_2_28_$arch" --platform "manylinux_2_24_$arch" --platform "manylinux2014_$arch" \
        --target "$wheels" --root-user-action=ignore --no-warn-script-location secantusdb \
        2>"$1.log" || { cat "$1.log" >&2; die "pip could not fetch secantusdb"; }
    rm -f "$1.log"
    find "$wheels" -type d -name tests -prune -exec rm -rf {} +
    install -m 755 "$here/standins/mongod" "$here/standins/mongosh" "$1/usr/local/bin/"
    install -m 755 "$here/standins/mongo-entrypoint" "$1/usr/local/bin/docker-entrypoint.sh"
    finish "$1" mongodb 999 /data/db
    install -d -o 999 -g 999 "$1/data/db" "$1/data/configdb"
    # Importing once writes the byte code that every later start would otherwise make again, and shows that all is there.
    chroot "$1" python3 -c 'import secantus.cli, secantus.server, pymongo' || die "the mongo stand-in cannot run its server"
}

build_web() {
    # python3-cryptography: MySQL 8 wants passwords encrypted where there is no TLS.
    extract "$1" python3,python3-cryptography,python3-pymongo,python3-pymysql,python3-redis
    install -D -m 644 "$here/web/app.py" "$1/app/app.py"
    finish "$1" app 1000 /app
    chroot "$1" python3 -c 'import http.server, redis, pymongo, pymysql' || die "the web image lacks a module"
}

# The configuration of each image, as `stack image import -c` takes it, one instruction a line.
configuration() {
    case $1 in
    redis)
        cat <<'END'
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["redis-server"]
EXPOSE 6379
VOLUME /data
WORKDIR /data
LABEL stack.standin="redis-server of Debian 12"
END
        ;;
    mysql)
        cat <<'END'
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["mysqld"]
EXPOSE 3306
VOLUME /var/lib/mysql
LABEL stack.standin="mariadb-server of Debian 12"
END
        ;;
    mongo)
        cat <<'END'
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["mongod"]
EXPOSE 27017
VOLUME /data/db
VOLUME /data/configdb
LABEL stack.standin="secantusdb of PyPI"
END
        ;;
    web)
        cat <<'END'
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
ENV PYTHONUNBUFFERED=1
CMD ["python3", "/app/app.py"]
EXPOSE 8080
WORKDIR /app
USER app
END
        ;;
    esac
}

reference() {
    case $1 in
    redis) echo redis:7 ;;
    mysql) echo mysql:8 ;;
    mongo) echo mongo:7 ;;
    web) echo stack-demo-web ;;
    *) die "unknown image $1: redis, mysql, mongo and web are known" ;;
    esac
}

# build NAME: makes the tar under a lock, so that two callers do not meet.
build() {
    reference "$1" >/dev/null
    [ "$(id -u)" = 0 ] || die "building root filesystems needs root"
    mkdir -p "$cache"
    (
        flock -w 900 9 || die "another build of $1 does not end"
        if [ -f "$cache/$1.tar" ] && [ -z "$(find "$here/images.sh" "$here/standins" "$here/web" -type f -newer "$cache/$1.tar")" ]; then
            exit 0
        fi
        local dir=$cache/$1.rootfs
        rm -rf "$dir"
        echo "building the $1 image (a minute at most) ..." >&2
        "build_$1" "$dir"
        tar --sort=name --numeric-owner -C "$dir" -cf "$cache/$1.tar.new" .
        mv "$cache/$1.tar.new" "$cache/$1.tar"
        rm -rf "$dir"
        echo "built $cache/$1.tar ($(du -h "$cache/$1.tar" | cut -f1))" >&2
    ) 9>"$cache/$1.lock"
}

import() {
    local -a changes=()
    local line
    build "$1"
    while IFS= read -r line; do
        changes+=(-c "$line")
    done < <(configuration "$1")
    timeout 300 "$stack" image import "$cache/$1.tar" "$(reference "$1")" "${changes[@]}"
}

[ $# -ge 2 ] || die "usage: images.sh build|import NAME..."
action=$1
shift
case $action in
build | import) ;;
*) die "usage: images.sh build|import NAME..." ;;
esac
for name; do
    "$action" "$name"
done
