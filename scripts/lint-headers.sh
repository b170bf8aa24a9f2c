#!/usr/bin/env bash
# Compiles the public header by itself, and the C examples, as strictly as a careful user might:
# C99 to C23 and C++11 to C++20, gcc and clang (Swift brings one), no warning allowed, not even of clang's
# -Wdocumentation. "C2x" is what compilers of Debian 12 call C23.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly warnings=(-Wall -Wextra -Werror -pedantic)

have() {
    command -v "$1" >/dev/null && return
    echo "lint-headers: no $1 on PATH; not checked with it"
    return 1
}

# header LANGUAGE COMPILER STANDARD [WARNING...]
header() {
    "$2" -std="$3" "${warnings[@]}" "${@:4}" -fsyntax-only -include include/zerodb.h \
        -include include/zerodb.h -x "$1" /dev/null
}

for compiler in gcc clang; do
    have $compiler || continue
    for source in examples/c/*.c; do
        $compiler -std=c11 "${warnings[@]}" -Iinclude -fsyntax-only "$source"
    done
    for standard in c99 c11 c17 c2x; do header c $compiler $standard -Wstrict-prototypes; done
done
for compiler in g++ clang++; do
    have $compiler || continue
    for standard in c++11 c++17 c++20; do header c++ $compiler $standard; done
done
if have clang; then header c clang c99 -Wdocumentation -Wdocumentation-pedantic; fi
echo 'lint-headers: include/zerodb.h and examples/c compile without a warning'
