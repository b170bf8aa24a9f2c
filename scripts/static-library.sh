#!/usr/bin/env bash
# Makes libzerodb.a of the objects that libzerodb.so was linked from.
#
#   scripts/static-library.sh BUILD_FOLDER LIBRARY      BUILD_FOLDER is SwiftPM's
#
# It has one object, in which the run-time library of Swift is linked already. All symbols but zdb_* are
# local, and the sections by which that run-time library finds its records have names of their own, so that
# a program may have a Swift of its own beside it.
set -euo pipefail

readonly build=$1 library=$2
readonly modules=(CZeroDBABI ZeroDB CZeroDBPlatform)
readonly swift=${SWIFT:-swift} ld=${LD:-ld} objcopy=${OBJCOPY:-objcopy} archiver=${AR:-ar}

fail() {
    echo "static-library: $*" >&2
    exit 1
}

# The run-time library, as `swiftc -static-stdlib` would link it. An install of Swift may be a link.
resources=$("$swift" -print-target-info | sed -n 's/.*"runtimeResourcePath": "\(.*\)".*/\1/p')
static_libraries=${resources}_static/linux
[ -e "$static_libraries/libswiftCore.a" ] || fail "no libswiftCore.a in $static_libraries"
registrations=("$static_libraries/$(uname -m)/swiftrt.o")

objects=()
for module in "${modules[@]}"; do
    mapfile -t found < <(find "$build/$module.build/" -name '*.o' 2>/dev/null | sort)
    [ ${#found[@]} -gt 0 ] || fail "no objects of $module in $build: touch Makefile and run make lib"
    objects+=("${found[@]}")
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The objects name the libraries that they import.
mapfile -t imported < <(
    for object in "${objects[@]}"; do
        "$objcopy" --dump-section ".swift1_autolink_entries=$work/entries" "$object" "$work/copy.o" \
            2>/dev/null && tr '\0' '\n' <"$work/entries"
    done | sed -n 's/^-l//p' | sort -u
)
archives=()
for name in "${imported[@]}" swiftCore; do
    [ -e "$static_libraries/lib$name.a" ] && archives+=("$static_libraries/lib$name.a")
done

# Groups of sections must not stay groups: a linker that finds one of the same name in the program would
# drop ours, and with it symbols that only ours has.
"$ld" --relocatable --force-group-allocation -o "$work/whole.o" "${registrations[@]}" "${objects[@]}" \
    --start-group "${archives[@]}" --end-group

# Sections with C names are those that code finds by __start_ and __stop_.
renames=()
while read -r section; do
    renames+=(--rename-section "$section=zdb_$section"
        --redefine-sym "__start_$section=__start_zdb_$section"
        --redefine-sym "__stop_$section=__stop_zdb_$section")
done < <(LC_ALL=C readelf --sections --wide "$work/whole.o" |
    sed -nE 's/^ *\[ *[0-9]+\] (swift5_[a-z_0-9]+) .*/\1/p' | sort -u)
"$objcopy" --strip-debug --remove-section=.swift1_autolink_entries --wildcard --keep-global-symbol='zdb_*' \
    "${renames[@]}" "$work/whole.o" "$work/zerodb.o"

mkdir -p "$(dirname "$library")"
rm -f "$library"
"$archiver" -rcsD "$library" "$work/zerodb.o"
chmod 644 "$library"
