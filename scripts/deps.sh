#!/usr/bin/env bash
# Makes sure that the machine has the software that a make target needs.
#
#   scripts/deps.sh GROUP...      groups: build c differential python tools demo lint bench
#                                 bench-peers valgrind prometheus package abi deb deb-test
#
# The script looks for the files that a dependency provides, so that software that did not come
# from a Debian package counts too. It installs only missing packages, with apt-get, after saying
# so, and runs nothing if everything is there. If a package cannot be installed, the last line
# names it and says what to do, and the exit status is 1.
set -euo pipefail

readonly swift=${SWIFT:-swift}
readonly swift_major_min=6 swift_minor_min=2

fail() {
    echo "deps: $*" >&2
    exit 1
}

# What each group needs, as Debian package names.
packages_of() {
    case $1 in
    build) echo gcc g++ libxxhash-dev ;;
    c) echo gcc g++ pkg-config ;;
    differential) echo gcc pkg-config liblmdb-dev ;;
    python) echo gcc libffi-dev python3-dev python3-venv ;;
    tools) echo fish lmdb-utils rclone zsh ;;
    demo) echo gcc pkg-config unicode-data wamerican-huge ;;
    lint) echo gcc g++ python3-venv ;;
    bench) echo gcc pkg-config liblmdb-dev librocksdb-dev libsqlite3-dev strace valgrind ;;
    bench-peers) echo gcc libwiredtiger-dev python3-venv ;;
    prometheus) echo prometheus prometheus-node-exporter ;;
    valgrind) echo gcc pkg-config valgrind ;;
    package) echo gcc g++ pkg-config cmake meson ninja-build file gdb man-db ;;
    abi) echo gcc abigail-tools ;;
    deb) echo gcc g++ libxxhash-dev pkg-config dpkg-dev debhelper dh-python python3-dev lintian ;;
    deb-test) echo debootstrap ;;
    *) fail "'$1' is no group of dependencies; see the head of scripts/deps.sh." ;;
    esac
}

has_header() {
    printf '#include <%s>\n' "$1" | ${CC:-cc} -E -x c - >/dev/null 2>&1
}

# Whether the files that a package provides are there.
present() {
    case $1 in
    gcc) command -v "${CC:-cc}" >/dev/null ;;
    g++) command -v g++ >/dev/null ;;
    libxxhash-dev) has_header xxhash.h ;;
    liblmdb-dev) has_header lmdb.h ;;
    librocksdb-dev) has_header rocksdb/c.h ;;
    libsqlite3-dev) has_header sqlite3.h ;;
    libwiredtiger-dev) has_header wiredtiger.h ;;
    lmdb-utils) command -v mdb_dump >/dev/null && command -v mdb_load >/dev/null ;;
    rclone) command -v rclone >/dev/null ;;
    libffi-dev) has_header ffi.h ;;
    pkg-config) command -v pkg-config >/dev/null ;;
    python3-dev)
        python3 -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(sysconfig.get_path("include") + "/Python.h"))' 2>/dev/null
        ;;
    python3-venv) python3 -c 'import ensurepip, venv' 2>/dev/null ;;
    unicode-data) [ -r /usr/share/unicode/UnicodeData.txt ] ;;
    wamerican-huge) [ -r /usr/share/dict/american-english-huge ] ;;
    ninja-build) command -v ninja >/dev/null ;;
    man-db) command -v man >/dev/null ;;
    abigail-tools) command -v abidw >/dev/null && command -v abidiff >/dev/null ;;
    dpkg-dev) command -v dpkg-buildpackage >/dev/null ;;
    debhelper) command -v dh >/dev/null ;;
    dh-python) command -v dh_python3 >/dev/null ;;
    cmake | debootstrap | file | fish | gdb | lintian | meson | zsh) command -v "$1" >/dev/null ;;
    strace | valgrind | prometheus | prometheus-node-exporter) command -v "$1" >/dev/null ;;
    esac
}

require_swift() {
    local found major minor
    command -v "$swift" >/dev/null ||
        fail "no '$swift' on PATH: install Swift $swift_major_min.$swift_minor_min or newer" \
            "from https://www.swift.org/install/linux/ and put its usr/bin on PATH."
    found=$("$swift" --version 2>&1 | sed -n 's/.*Swift version \([0-9][0-9.]*\).*/\1/p' | head -n 1)
    IFS=. read -r major minor _ <<<"$found.0"
    if ! [[ $major =~ ^[0-9]+$ && $minor =~ ^[0-9]+$ ]] ||
        ((major < swift_major_min || major == swift_major_min && minor < swift_minor_min)); then
        fail "$(command -v "$swift") is Swift ${found:-of an unknown version}, and ZeroDB needs" \
            "$swift_major_min.$swift_minor_min or newer: see https://www.swift.org/install/linux/."
    fi
}

# Prints, one a line and once each, the packages of the groups that are not there.
missing_packages() {
    local group package
    for group in "$@"; do
        for package in $(packages_of "$group"); do
            present "$package" || echo "$package"
        done
    done | awk '!seen[$0]++'
}

# Stores in as_root the command that runs apt-get with the rights to install.
as_root=()
gain_rights() {
    [ "$(id -u)" -eq 0 ] && return
    command -v sudo >/dev/null ||
        fail "this account may not install packages (no root, no sudo): have root run" \
            "'apt-get install $*'."
    as_root=(sudo)
    # Without a terminal sudo cannot ask for a password and must not wait for one.
    [ -t 0 ] || as_root+=(-n)
    "${as_root[@]}" true 2>/dev/null ||
        fail "sudo does not let this account install packages: have root run" \
            "'apt-get install $*'."
}

apt_log=
apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 "$@" >>"$apt_log" 2>&1
}

update_package_lists() {
    echo "deps: apt-get update"
    # This failure is not final: the lists of one of several sources may suffice.
    apt -o Acquire::Retries=2 update || true
}

has_candidates() {
    local package
    for package in "$@"; do
        LC_ALL=C apt-cache policy "$package" 2>/dev/null | grep -q 'Candidate: [^(]' || return 1
    done
}

install_packages() {
    command -v apt-get >/dev/null ||
        fail "these Debian packages, or what they provide, are missing and there is no apt-get" \
            "to install them with: $*."
    gain_rights "$@"
    apt_log=$(mktemp)
    trap 'rm -f "$apt_log"' EXIT

    local updated=false
    if ! has_candidates "$@"; then
        update_package_lists
        updated=true
    fi
    echo "deps: apt-get install $*"
    apt install -y --no-install-recommends "$@" && return
    # Package lists older than the archive name files that are gone from it.
    if ! $updated; then
        update_package_lists
        apt install -y --no-install-recommends "$@" && return
    fi
    fail "apt-get could not install $* ($(reason)); install them and run make again."
}

# The first error of apt-get, for the closing sentence.
reason() {
    local line
    line=$(grep -m 1 -E '^(E|Err):' "$apt_log" || tail -n 1 "$apt_log")
    echo "${line:-it gave no reason}"
}

[ $# -gt 0 ] || fail "no group given; see the head of scripts/deps.sh."
for group in "$@"; do
    packages_of "$group" >/dev/null
    if [ "$group" = build ]; then require_swift; fi
done

mapfile -t missing < <(missing_packages "$@")
if [ ${#missing[@]} -gt 0 ]; then
    install_packages "${missing[@]}"
    mapfile -t missing < <(missing_packages "$@")
    [ ${#missing[@]} -eq 0 ] ||
        fail "installed, but still not found by '${CC:-cc}' and '$(command -v python3)'" \
            "of this PATH: ${missing[*]}."
fi
