#!/usr/bin/env bash
# Installs ZeroDB into temporary directories and uses it as others would.
#
#   Tests/package/run.sh [CASE...]        from the top of the repository, after `make lib`
#
# A case is a function below whose name begins with test_; without arguments all are run.
set -euo pipefail
cd "$(dirname "$0")/../.."

readonly here=$PWD/Tests/package
readonly make=${MAKE:-make}
readonly warnings=(-Wall -Wextra -Wpedantic -Werror)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
readonly work
readonly prefix=$work/prefix
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
export SWIFT_BACKTRACE=enable=no
unset LD_LIBRARY_PATH CFLAGS CPPFLAGS LDFLAGS DESTDIR

fail() {
    echo "package-test: $*" >&2
    exit 1
}

# logged COMMAND...: its output is shown only if it fails.
logged() {
    "$@" >"$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "$*"
    }
}

# zerodb_make TARGET VARIABLE=...
zerodb_make() {
    logged "$make" --no-print-directory --silent "$@"
}

# flags OPTION...: what pkg-config prints, as words.
flags() {
    read -ra words < <(pkg-config "$@" zerodb)
}

# run PROGRAM: in an environment of its own, with the installed library.
run() {
    rm -rf "$work/env"
    LD_LIBRARY_PATH=${library_path:-$prefix/lib} logged "$@" "$work/env"
    grep -q 'hello, world' "$work/log" || fail "$* printed $(<"$work/log")"
}

# compile OUTPUT COMPILER ARGUMENT...: Tests/package/use.c, with the flags of pkg-config.
compile() {
    flags --cflags --libs
    logged "${@:2}" "${warnings[@]}" "$here/use.c" -o "$1" "${words[@]}"
}

test_c_and_cxx() {
    local compiler standard
    for compiler in gcc clang; do
        for standard in c99 c11 c17; do
            compile "$work/use" $compiler -std=$standard
            run "$work/use"
        done
    done
    for compiler in g++ clang++; do
        for standard in c++11 c++17; do
            compile "$work/use" $compiler -std=$standard -x c++
            run "$work/use"
        done
    done
}

test_sanitizers() {
    local compiler
    for compiler in gcc clang; do
        compile "$work/use" $compiler -g -fsanitize=address,undefined -fno-sanitize-recover=all
        run "$work/use"
    done
}

# Under GNU ld and lld, with and without their removal of unused sections, and without any shared library.
test_static() {
    local extra
    flags --static --cflags --libs
    local linked=("${words[@]/#-lzerodb/-l:libzerodb.a}")
    for extra in -O1 -Wl,--gc-sections -pie -no-pie; do
        gcc "${warnings[@]}" $extra "$here/use.c" -o "$work/use" "${linked[@]}"
        run env -u LD_LIBRARY_PATH "$work/use"
    done
    clang -fuse-ld=lld -Wl,--gc-sections "$here/use.c" -o "$work/use" "${linked[@]}"
    run env -u LD_LIBRARY_PATH "$work/use"
    gcc -static "$here/use.c" -o "$work/use" "${words[@]}" 2>/dev/null
    run env -u LD_LIBRARY_PATH "$work/use"

    local others
    others=$(nm --defined-only --extern-only "$prefix/lib/libzerodb.a" | awk 'NF == 3 { print $3 }' |
        grep -v '^zdb_' || true)
    [ -z "$others" ] || fail "libzerodb.a defines $others"
}

test_cmake() {
    local program
    logged cmake -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$prefix"
    logged cmake --build "$work/cmake"
    for program in use_shared use_static; do
        run env -u LD_LIBRARY_PATH "$work/cmake/$program"
    done
    ! cmake -S "$here" -B "$work/cmake2" -DCMAKE_PREFIX_PATH="$work/nowhere" >/dev/null 2>&1 ||
        fail 'cmake found a ZeroDB that is not there'
    rm -rf "$work/cmake" "$work/cmake2"
}

test_meson() {
    local program
    logged meson setup "$work/meson" "$here"
    logged meson compile -C "$work/meson"
    for program in use_shared use_static; do run "$work/meson/$program"; done
    ! grep -q libzerodb <<<"$(ldd "$work/meson/use_static")" || fail 'meson linked the shared library'
    rm -rf "$work/meson"
}

# plugin ARGUMENT...: a host unloads a plugin that was linked so, with the environment open.
plugin() {
    rm -rf "$work/env"
    gcc -std=c99 "${warnings[@]}" -I"$prefix/include" -shared -fPIC "$here/plugin.c" -o "$work/plugin.so" "$@"
    gcc -std=gnu99 "${warnings[@]}" "$here/host.c" -o "$work/host" -ldl
    LD_LIBRARY_PATH=$prefix/lib "$work/host" "$work/plugin.so" "$work/env" >/dev/null ||
        fail "the host of a plugin, linked with $*, ended with $?"
    # What it committed was flushed as it exited, and is replayed here.
    LD_LIBRARY_PATH=$prefix/lib logged "$work/use" "$work/env"
    grep -qE '"entries" ?: ?101\b' <<<"$("$prefix/bin/zerodb" stat --json "$work/env")" ||
        fail 'the environment of a plugin lacks entries'
}

test_plugin() {
    compile "$work/use" gcc
    flags --libs
    plugin "${words[@]}"
    flags --static --libs
    plugin "${words[@]/#-lzerodb/-l:libzerodb.a}" -Wl,-z,nodelete
}

test_hardening() {
    local dynamic segments
    dynamic=$(LC_ALL=C readelf --dynamic --wide "$prefix/lib/libzerodb.so")
    grep -q 'Flags:.*NOW.*NODELETE' <<<"$dynamic" || fail 'libzerodb.so is not linked with -z now -z nodelete'
    segments=$(LC_ALL=C readelf --segments --wide "$prefix/lib/libzerodb.so")
    grep -q GNU_RELRO <<<"$segments" || fail 'libzerodb.so is not linked with -z relro'
    ! grep -q 'GNU_STACK.*RWE' <<<"$segments" || fail 'the stack is executable'
    grep -q ' U __memcpy_chk' <<<"$(nm -D "$prefix/lib/libzerodb.so")" ||
        fail 'the C sources were not compiled with _FORTIFY_SOURCE'
    [ "$(stat -Lc %a "$prefix/lib/libzerodb.so")" = 644 ] || fail 'libzerodb.so has not the mode 644'
}

test_pkg_config() {
    [ "$(pkg-config --modversion zerodb)" = "$(sed -n 's/^.define ZDB_VERSION_STRING "\(.*\)"/\1/p' \
        include/zerodb.h)" ] || fail 'zerodb.pc says another version'
    grep -q '^URL: http' "$PKG_CONFIG_PATH/zerodb.pc" || fail 'zerodb.pc has no URL'
    pkg-config --validate zerodb
}

# The symbols are found by the build-id that the stripped library has.
test_debug_symbols() {
    local shown
    zerodb_make install-debug PREFIX="$prefix"
    shown=$(gdb -nx -batch -iex "set debug-file-directory $prefix/lib/debug" \
        -ex 'info line zp_number_thread' "$prefix/lib/libzerodb.so" 2>/dev/null || true)
    grep -q 'Line [0-9]* of .*platform\.c' <<<"$shown" || fail "gdb finds no debugging symbols: $shown"
}

test_manual() {
    local page
    for page in '3 zerodb' '3 zdb_put' '3 zdb_env_options_init' '5 zerodb' '7 zerodb' '1 zerodb-check'; do
        # shellcheck disable=SC2086 # section and name
        MANPATH=$prefix/share/man man --warnings -E UTF-8 $page >"$work/page" 2>"$work/log" ||
            fail "man $page: $(<"$work/log")"
        grep -q ZeroDB "$work/page" || fail "man $page shows another page"
        [ ! -s "$work/log" ] || fail "man $page warns: $(<"$work/log")"
    done
}

# identified FILE... PATTERN: file(1) describes the file so.
identified() {
    local said
    said=$(file -b -m "$magic" "${@:1:$#-1}")
    [[ $said =~ ^${!#} ]] || fail "file says of $1: $said"
}

# file(1) names what the library writes.
test_file() {
    local magic=$prefix/share/zerodb/file/zerodb.magic
    compile "$work/use" gcc
    run "$work/use"
    "$prefix/bin/zerodb" backup create "$work/env" "$work/archive" >/dev/null
    identified "$work/env/data.zdb" 'ZeroDB database, format version 1, 4096-byte pages'
    identified "$work"/env/log/*.log 'ZeroDB log segment, format version 1'
    identified "$work/env/lock.zdb" 'ZeroDB lock file, layout version [1-9]'
    identified "$work"/archive/*-full-*.zdba 'ZeroDB archive, full copy, version 1'
    identified "$work/archive/index.zdba" 'ZeroDB archive index, version 1'
    [ "$(file -b --mime-type -m "$magic" "$work/env/data.zdb")" = application/x-zerodb ] ||
        fail 'data.zdb has no media type'
}

# Every block of README, with what is installed. `make readme-test` builds all of it as README says.
test_readme() {
    logged python3 Tests/readme/run.py --installed "$prefix" build/wheel
}

# The tree is moved: pkg-config and CMake find it where it is.
test_relocation() {
    mv "$prefix" "$work/moved"
    read -ra words < <(PKG_CONFIG_PATH=$work/moved/lib/pkgconfig \
        pkg-config --define-prefix --cflags --libs zerodb)
    gcc "$here/use.c" -o "$work/use" "${words[@]}"
    library_path=$work/moved/lib run "$work/use"
    cmake -S "$here" -B "$work/cmake" -DCMAKE_PREFIX_PATH="$work/moved" >/dev/null
    cmake --build "$work/cmake" >/dev/null
    run env -u LD_LIBRARY_PATH "$work/cmake/use_shared"
    rm -rf "$work/cmake"
    mv "$work/moved" "$prefix"
}

# Directories with unusual names, one of them not below the prefix.
test_unusual_directories() {
    local odd=$work/odd/a+b_c.d
    local variables=(PREFIX="$odd" LIBDIR="$work/odd/lib64/deep" INCLUDEDIR="$odd/include/zerodb-1"
        BINDIR="$odd/sbin" MANDIR="$odd/man" DEBUGDIR="$work/odd/debug")
    zerodb_make install "${variables[@]}"
    zerodb_make install-debug "${variables[@]}"
    read -ra words < <(PKG_CONFIG_PATH=$work/odd/lib64/deep/pkgconfig pkg-config --cflags --libs zerodb)
    gcc "$here/use.c" -o "$work/use" "${words[@]}"
    library_path=$work/odd/lib64/deep run "$work/use"
    cmake -S "$here" -B "$work/cmake" -DZeroDB_DIR="$work/odd/lib64/deep/cmake/ZeroDB" >/dev/null
    cmake --build "$work/cmake" >/dev/null
    run env -u LD_LIBRARY_PATH "$work/cmake/use_shared"
    rm -rf "$work/cmake"
    "$odd/sbin/zerodb-check" "$work/env" >/dev/null
    zerodb_make uninstall "${variables[@]}"
    [ ! -e "$work/odd" ] || fail "uninstall leaves $(find "$work/odd")"
}

# Directories that were there before stay, also empty ones, and nothing else does.
test_uninstall() {
    local root=$work/root
    mkdir -p "$root/lib" "$root/share/man"
    echo mine >"$root/lib/mine"
    zerodb_make install PREFIX="$root"
    zerodb_make install PREFIX="$root"
    zerodb_make install-debug PREFIX="$root"
    zerodb_make uninstall PREFIX="$root"
    [ "$(cd "$root" && find . | sort | tr '\n' ' ')" = '. ./lib ./lib/mine ./share ./share/man ' ] ||
        fail "uninstall leaves $(find "$root")"

    zerodb_make install DESTDIR="$work/dest" PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu
    [ ! -e "$work/dest/usr/share/zerodb/made-directories" ] || fail 'a package gets a list of directories'
    zerodb_make uninstall DESTDIR="$work/dest" PREFIX=/usr LIBDIR=/usr/lib/x86_64-linux-gnu
    [ -z "$(find "$work/dest" -mindepth 1 2>/dev/null)" ] || fail "uninstall leaves $(find "$work/dest")"
}

# The flags of the caller arrive at the compiler and the linker. Only what make would do is looked at.
test_caller_flags() {
    local commands
    commands=$("$make" --no-print-directory --dry-run --always-make lib CFLAGS='-O2 -fcf-protection' \
        CPPFLAGS='-DX -D_FORTIFY_SOURCE=2' LDFLAGS='-Wl,-z,noexecstack -L/nowhere -rdynamic')
    local wanted
    for wanted in '-Xcc -O2' '-Xcc -fcf-protection' '-Xcc -DX' '-Xlinker -z -Xlinker noexecstack' \
        '-Xlinker -L/nowhere' '-Xswiftc -Xclang-linker -Xswiftc -rdynamic'; do
        grep -qF -- "$wanted" <<<"$commands" || fail "make lib with flags does not say $wanted"
    done
    ! grep -qF -- '-D_FORTIFY_SOURCE=2' <<<"$commands" || fail '_FORTIFY_SOURCE is given twice'
}

zerodb_make install PREFIX="$prefix"
if [ $# -gt 0 ]; then
    cases=("$@")
else
    mapfile -t cases < <(compgen -A function test_ | sort)
fi
for case in "${cases[@]}"; do
    begin=$SECONDS
    # The functions end the script when they fail.
    "$case"
    echo "package-test: ${case#test_} ($((SECONDS - begin)) s)"
done
zerodb_make uninstall PREFIX="$prefix"
[ ! -e "$prefix" ] || fail "uninstall leaves $(find "$prefix")"
echo "package-test: ${#cases[@]} tests passed; nothing is left"
