#!/usr/bin/env bash
# Installs the files of ZeroDB, or removes them with --uninstall. Called by the Makefile.
#
# Variables: LIBRARY (the file to install; not for --uninstall), VERSION, SONAME, PREFIX;
# optional: DESTDIR, LIBDIR, INCLUDEDIR, BINDIR, MANDIR, TOOL (the built program, with its
# completions beside it), TOOL_NAMES (its other names), PC_PREFIX (the prefix in zerodb.pc,
# ${pcfiledir}/../.. in a tree that may move).
set -euo pipefail
cd "$(dirname "$0")/.."

: "${VERSION:?}" "${SONAME:?}" "${PREFIX:?}"
: "${DESTDIR:=}" "${LIBDIR:=$PREFIX/lib}" "${INCLUDEDIR:=$PREFIX/include}"
: "${BINDIR:=$PREFIX/bin}" "${MANDIR:=$PREFIX/share/man}" "${TOOL:=}" "${TOOL_NAMES:=}"
: "${PC_PREFIX:=$PREFIX}"

readonly library_file=libzerodb.so.$VERSION
shopt -s nullglob
manual_pages=(man/*.[1-8])
# For Prometheus and Grafana, below PREFIX.
shared_files=(share/*/*)

# Where shells look for completions of commands.
declare -A completions=(
    [bash]="$PREFIX/share/bash-completion/completions/zerodb"
    [zsh]="$PREFIX/share/zsh/site-functions/_zerodb"
    [fish]="$PREFIX/share/fish/vendor_completions.d/zerodb.fish"
)

# put MODE SOURCE DESTINATION
put() {
    install -D -m "$1" "$2" "$DESTDIR$3"
    echo "installed $DESTDIR$3"
}

# link TARGET DESTINATION
link() {
    ln -sfn "$1" "$DESTDIR$2"
    echo "installed $DESTDIR$2 -> $1"
}

manual_destination() {
    echo "$MANDIR/man${1##*.}/${1##*/}"
}

shared_destination() {
    echo "$PREFIX/share/zerodb/${1#share/}"
}

# Directories below the prefix are written as such, so that pkg-config --define-prefix works.
# shellcheck disable=SC2016 # ${prefix} is for pkg-config to expand
pkgconfig_file() {
    local text
    text=$(<pkgconfig/zerodb.pc.in)
    text=${text//@PREFIX@/"$PC_PREFIX"}
    text=${text//@LIBDIR@/"${LIBDIR/#"$PREFIX/"/'${prefix}/'}"}
    text=${text//@INCLUDEDIR@/"${INCLUDEDIR/#"$PREFIX/"/'${prefix}/'}"}
    echo "${text//@VERSION@/"$VERSION"}"
}

install_files() {
    local generated page name shell file
    generated=$(mktemp)
    # shellcheck disable=SC2064 # the present name, not the one at the exit
    trap "rm -f '$generated'" EXIT
    pkgconfig_file >"$generated"

    put 755 "${LIBRARY:?}" "$LIBDIR/$library_file"
    link "$library_file" "$LIBDIR/$SONAME"
    link "$SONAME" "$LIBDIR/libzerodb.so"
    put 644 include/zerodb.h "$INCLUDEDIR/zerodb.h"
    put 644 "$generated" "$LIBDIR/pkgconfig/zerodb.pc"
    if [ -n "$TOOL" ]; then
        put 755 "$TOOL" "$BINDIR/zerodb"
        for name in $TOOL_NAMES; do link zerodb "$BINDIR/$name"; done
        for shell in "${!completions[@]}"; do put 644 "$TOOL.$shell" "${completions[$shell]}"; done
    fi
    for page in "${manual_pages[@]}"; do put 644 "$page" "$(manual_destination "$page")"; done
    for file in "${shared_files[@]}"; do put 644 "$file" "$(shared_destination "$file")"; done
}

uninstall_files() {
    local file page name
    local files=("$LIBDIR/libzerodb.so" "$LIBDIR/$SONAME" "$LIBDIR/$library_file"
        "$INCLUDEDIR/zerodb.h" "$LIBDIR/pkgconfig/zerodb.pc")
    for name in zerodb $TOOL_NAMES; do files+=("$BINDIR/$name"); done
    files+=("${completions[@]}")
    for page in "${manual_pages[@]}"; do files+=("$(manual_destination "$page")"); done
    for file in "${shared_files[@]}"; do files+=("$(shared_destination "$file")"); done
    for file in "${files[@]}"; do
        if [ -e "$DESTDIR$file" ] || [ -L "$DESTDIR$file" ]; then
            rm -f "$DESTDIR$file"
            echo "removed $DESTDIR$file"
        fi
    done
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
--uninstall)
    uninstall_files
    refresh_loader_cache
    ;;
*)
    echo "install.sh: unknown argument '$1'" >&2
    exit 2
    ;;
esac
