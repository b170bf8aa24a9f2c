#!/usr/bin/env bash
# Installs the packages of `make deb` into a Debian of their own, in a folder, and runs their tests there.
#
#   scripts/deb-test.sh FOLDER ROOT [SUITE]     FOLDER has the packages, ROOT is made with debootstrap
#
# ROOT stays for the next time: what was installed there is removed again first.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly folder=$1 root=$2
# The libraries of this machine are what the packages were built with.
readonly suite=${3:-$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)}
readonly mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

[ "$(id -u)" -eq 0 ] || {
    echo 'deb-test: debootstrap and chroot need root' >&2
    exit 1
}

# inside COMMAND...
inside() {
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
        chroot "$root" "$@"
}

quietly() {
    "$@" >"$root.log" 2>&1 || {
        tail -n 30 "$root.log" >&2
        echo "deb-test: $* failed" >&2
        exit 1
    }
}

if [ ! -e "$root/complete" ]; then
    echo "deb-test: debootstrap of $suite into $root"
    rm -rf "$root"
    quietly debootstrap --variant=minbase "$suite" "$root" "$mirror"
    # What the tests need besides the packages. Policy of the chroot: start no service.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    quietly inside apt-get install -qq --no-install-recommends gcc g++ pkg-config file python3 man-db
    touch "$root/complete"
fi
# minbase leaves manual pages of packages in place, but a container's dpkg may drop them.
rm -f "$root"/etc/dpkg/dpkg.cfg.d/*docker*

mount --bind /proc "$root/proc"
trap 'umount "$root/proc"' EXIT

names=(libzerodb1 libzerodb-dev zerodb-tools python3-zerodb)
quietly inside dpkg --purge "${names[@]}"
rm -rf "$root/packages"
mkdir "$root/packages"
cp "$folder"/*.deb "$root/packages/"
rm -f "$root"/packages/*-dbgsym_*
before=$(cd "$root" && find usr/bin usr/include usr/lib usr/share etc | grep -v __pycache__ | sort)

quietly inside sh -c 'apt-get install -qq --no-install-recommends /packages/*.deb'
for test in library tools python; do
    cp "debian/tests/$test" "$root/packages/"
    quietly inside "/packages/$test"
    echo "deb-test: $test"
done
for page in '3 zdb_put' '5 zerodb' '7 zerodb' '1 zerodb-check'; do
    # shellcheck disable=SC2086 # section and name
    quietly inside man -w $page
done
echo 'deb-test: man'

quietly inside dpkg --purge "${names[@]}"
after=$(cd "$root" && find usr/bin usr/include usr/lib usr/share etc | grep -v __pycache__ | sort)
left=$(comm -13 <(echo "$before") <(echo "$after"))
[ -z "$left" ] || {
    echo "deb-test: removing the packages leaves $left" >&2
    exit 1
}
echo "deb-test: ${#names[@]} packages installed, tried and removed in $root"
