#!/usr/bin/env bash
# Installs the files of ZeroDB, its debugging symbols with --debug, or removes both with --uninstall. Called
# by the Makefile.
#
# Variables: LIBRARY (the file to install; not for --uninstall), VERSION, SONAME, PREFIX;
# optional: DESTDIR, LIBDIR, INCLUDEDIR, BINDIR, MANDIR, DEBUGDIR, STATIC_LIBRARY (the built libzerodb.a),
# TOOL (the built program, with its completions beside it), TOOL_NAMES (its other names), DEBUG_FILES (what
# --debug installs, by build-id), URL (of the project), PC_PREFIX (the prefix in zerodb.pc,
# ${pcfiledir}/../.. in a tree that may move).
set -euo pipefail
cd "$(dirname "$0")/.."

: "${VERSION:?}" "${SONAME:?}" "${PREFIX:?}"
: "${DESTDIR:=}" "${LIBDIR:=$PREFIX/lib}" "${INCLUDEDIR:=$PREFIX/include}"
: "${BINDIR:=$PREFIX/bin}" "${MANDIR:=$PREFIX/share/man}" "${DEBUGDIR:=$PREFIX/lib/debug}"
: "${STATIC_LIBRARY:=}" "${TOOL:=}" "${TOOL_NAMES:=}" "${DEBUG_FILES:=}" "${URL:=}"
: "${PC_PREFIX:=$PREFIX}"

readonly library_file=libzerodb.so.$VERSION
shopt -s nullglob
manual_pages=(man/*.[1-8])
# For Prometheus, Grafana and file(1), below PREFIX.
shared_files=(share/*/*)
# zerodb(3) under the name of each function.
mapfile -t function_names < <(scripts/functions.sh include/zerodb.h)

# Where shells look for completions of commands.
declare -A completions=(
    [bash]="$PREFIX/share/bash-completion/completions/zerodb"
    [zsh]="$PREFIX/share/zsh/site-functions/_zerodb"
    [fish]="$PREFIX/share/fish/vendor_completions.d/zerodb.fish"
)

# Shells that load a file by the command's name find it under the other names of the program too. For zsh the
# file says which those are.
completion_links() {
    local name
    for name in $TOOL_NAMES; do
        echo "${completions[bash]%/*}/$name"
        echo "${completions[fish]%/*}/$name.fish"
    done
}

# The directories that had to be made, so that --uninstall removes those and no others. A tree in DESTDIR
# is somebody's package, which needs no such list.
readonly made_directories=$PREFIX/share/zerodb/made-directories

generated=$(mktemp)
trap 'rm -f "$generated"' EXIT

# make_directory DIRECTORY, and write down what that makes.
make_directory() {
    [ -d "$DESTDIR$1" ] && return
    case $1 in */*) make_directory "${1%/*}" ;; esac
    mkdir "$DESTDIR$1"
    made+=("$1")
}
made=()

# put MODE SOURCE DESTINATION
put() {
    make_directory "${3%/*}"
    install -m "$1" "$2" "$DESTDIR$3"
    echo "installed $DESTDIR$3"
}

# link TARGET DESTINATION
link() {
    make_directory "${2%/*}"
    ln -sfn "$1" "$DESTDIR$2"
    echo "installed $DESTDIR$2 -> $1"
}

manual_destination() {
    echo "$MANDIR/man${1##*.}/${1##*/}"
}

shared_destination() {
    echo "$PREFIX/share/zerodb/${1#share/}"
}

# debug_destination FILE: where debuggers look for the symbols of the program with FILE's build-id.
debug_destination() {
    local id
    id=$(LC_ALL=C readelf --notes "$1" 2>/dev/null | sed -n 's/.*Build ID: *\([0-9a-f]*\)$/\1/p')
    [ -n "$id" ] && echo "$DEBUGDIR/.build-id/${id:0:2}/${id:2}.debug"
}

# Directories below the prefix are written as such, so that pkg-config --define-prefix works.
# shellcheck disable=SC2016 # ${prefix} is for pkg-config to expand
pkgconfig_file() {
    local text
    text=$(<pkgconfig/zerodb.pc.in)
    text=${text//@PREFIX@/"$PC_PREFIX"}
    text=${text//@LIBDIR@/"${LIBDIR/#"$PREFIX/"/'${prefix}/'}"}
    text=${text//@INCLUDEDIR@/"${INCLUDEDIR/#"$PREFIX/"/'${prefix}/'}"}
    text=${text//@URL@/"$URL"}
    echo "${text//@VERSION@/"$VERSION"}"
}

# cmake_file NAME: it names the directory of the header as seen from LIBDIR, if both are below the prefix.
cmake_file() {
    local text include_directory=$INCLUDEDIR
    if [[ $LIBDIR == "$PREFIX"/* && $INCLUDEDIR == "$PREFIX"/* ]]; then
        include_directory=$(realpath -m --relative-to="$LIBDIR" "$INCLUDEDIR")
    fi
    text=$(<"cmake/$1.in")
    text=${text//@INCLUDEDIR@/"$include_directory"}
    text=${text//@SONAME@/"$SONAME"}
    echo "${text//@VERSION@/"$VERSION"}"
}

# put_generated DESTINATION COMMAND...: what the command prints.
put_generated() {
    local destination=$1
    shift
    "$@" >"$generated"
    put 644 "$generated" "$destination"
}

keep_made_directories() {
    if [ -n "$DESTDIR" ] || [ ${#made[@]} -eq 0 ]; then return; fi
    make_directory "${made_directories%/*}"
    printf '%s\n' "${made[@]}" >>"$made_directories"
    chmod 644 "$made_directories"
}

install_files() {
    local page name shell file

    put 644 "${LIBRARY:?}" "$LIBDIR/$library_file"
    link "$library_file" "$LIBDIR/$SONAME"
    link "$SONAME" "$LIBDIR/libzerodb.so"
    if [ -n "$STATIC_LIBRARY" ]; then put 644 "$STATIC_LIBRARY" "$LIBDIR/libzerodb.a"; fi
    put 644 include/zerodb.h "$INCLUDEDIR/zerodb.h"
    put_generated "$LIBDIR/pkgconfig/zerodb.pc" pkgconfig_file
    for name in ZeroDBConfig ZeroDBConfigVersion; do
        put_generated "$LIBDIR/cmake/ZeroDB/$name.cmake" cmake_file "$name.cmake"
    done
    if [ -n "$TOOL" ]; then
        put 755 "$TOOL" "$BINDIR/zerodb"
        for name in $TOOL_NAMES; do link zerodb "$BINDIR/$name"; done
        for shell in "${!completions[@]}"; do put 644 "$TOOL.$shell" "${completions[$shell]}"; done
        while read -r name; do
            case $name in
            *.fish) link zerodb.fish "$name" ;;
            *) link zerodb "$name" ;;
            esac
        done < <(completion_links)
    fi
    for page in "${manual_pages[@]}"; do put 644 "$page" "$(manual_destination "$page")"; done
    echo '.so man3/zerodb.3' >"$generated"
    for name in "${function_names[@]}"; do put 644 "$generated" "$MANDIR/man3/$name.3" >/dev/null; done
    echo "installed $MANDIR/man3/zdb_*.3: ${#function_names[@]} functions, all in zerodb.3"
    for file in "${shared_files[@]}"; do put 644 "$file" "$(shared_destination "$file")"; done
    keep_made_directories
}

install_debug_files() {
    local file destination
    for file in $DEBUG_FILES; do
        destination=$(debug_destination "$file") || {
            echo "install.sh: $file has no build-id" >&2
            exit 1
        }
        put 644 "$file" "$destination"
    done
    keep_made_directories
}

uninstall_files() {
    local file page name directory
    local files=("$LIBDIR/libzerodb.so" "$LIBDIR/$SONAME" "$LIBDIR/$library_file" "$LIBDIR/libzerodb.a"
        "$INCLUDEDIR/zerodb.h" "$LIBDIR/pkgconfig/zerodb.pc"
        "$LIBDIR/cmake/ZeroDB/ZeroDBConfig.cmake" "$LIBDIR/cmake/ZeroDB/ZeroDBConfigVersion.cmake")
    for file in "$LIBDIR/$library_file" "$BINDIR/zerodb"; do
        if page=$(debug_destination "$DESTDIR$file"); then files+=("$page"); fi
    done
    for name in zerodb $TOOL_NAMES; do files+=("$BINDIR/$name"); done
    files+=("${completions[@]}")
    while read -r name; do files+=("$name"); done < <(completion_links)
    for page in "${manual_pages[@]}"; do files+=("$(manual_destination "$page")"); done
    for name in "${function_names[@]}"; do files+=("$MANDIR/man3/$name.3"); done
    for file in "${shared_files[@]}"; do files+=("$(shared_destination "$file")"); done

    # Longest first: a directory comes before the one that it is in. Those of our name are ours anyway.
    local directories=("$LIBDIR/cmake/ZeroDB" "$PREFIX/share/zerodb")
    for file in "${shared_files[@]}"; do
        directory=$(shared_destination "$file")
        directories+=("${directory%/*}")
    done
    if [ -n "$DESTDIR" ]; then
        for file in "${files[@]}"; do
            for ((; ${#file} > 1; )); do
                file=${file%/*}
                [ -n "$file" ] && directories+=("$file")
            done
        done
    elif [ -e "$made_directories" ]; then
        mapfile -t -O ${#directories[@]} directories <"$made_directories"
        rm -f "$made_directories"
    fi

    for file in "${files[@]}"; do
        if [ -e "$DESTDIR$file" ] || [ -L "$DESTDIR$file" ]; then
            rm -f "$DESTDIR$file"
            echo "removed $DESTDIR$file"
        fi
    done
    while read -r directory; do
        if [ -d "$DESTDIR$directory" ] && rmdir "$DESTDIR$directory" 2>/dev/null; then
            echo "removed $DESTDIR$directory"
        fi
    done < <(printf '%s\n' "${directories[@]}" | sort -ru)
}

# The dynamic loader finds a new library in its own directories only through its cache.
refresh_loader_cache() {
    if [ -z "$DESTDIR" ] && [ "$(id -u)" -eq 0 ] && command -v ldconfig >/dev/null; then
        ldconfig
    fi
}

case ${1:-} in
'')
    install_files
    refresh_loader_cache
    ;;
--debug)
    install_debug_files
    ;;
--uninstall)
    uninstall_files
    refresh_loader_cache
    ;;
*)
    echo "install.sh: unknown argument '$1'" >&2
    exit 2
    ;;
esac
