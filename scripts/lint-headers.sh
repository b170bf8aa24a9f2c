#!/usr/bin/env bash
# Compiles the public header by itself, and the C examples, as strictly as a careful user might:
# C11 and C++17, gcc and clang (Swift brings one), no warning allowed.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly warnings=(-Wall -Wextra -Werror -pedantic)

have() {
    command -v "$1" >/dev/null && return
    echo "lint-headers: no $1 on PATH; not checked with it"
    return 1
}

for compiler in gcc clang; do
    have $compiler || continue
    for source in examples/c/*.c; do
        $compiler -std=c11 "${warnings[@]}" -Iinclude -fsyntax-only "$source"
    done
    $compiler -std=c11 "${warnings[@]}" -fsyntax-only -include include/zerodb.h \
        -include include/zerodb.h -x c /dev/null
done
for compiler in g++ clang++; do
    have $compiler || continue
    $compiler -std=c++17 "${warnings[@]}" -fsyntax-only -include include/zerodb.h \
        -include include/zerodb.h -x c++ /dev/null
done
echo 'lint-headers: include/zerodb.h and examples/c compile without a warning'
