#!/usr/bin/env bash
# Checks libzerodb.so as a user gets it: exactly the functions that the header declares, all
# of one symbol version; no library needed beyond the system's C and C++ run-time; a size that
# one can ship.
#
#   scripts/check-exports.sh LIBRARY SONAME HEADER      LIBRARY is stripped
set -euo pipefail

readonly library=$1 soname=$2 header=$3
readonly symbol_version=ZERODB_1
readonly size_max_bytes=$((12 * 1000 * 1000))
readonly tls_max_bytes=256
readonly needed_allowed='^(libc|libm|libdl|libpthread|librt|libstdc\+\+|libgcc_s|ld-linux[^.]*)\.so'

problems=0
problem() {
    echo "check-exports: $*" >&2
    problems=$((problems + 1))
}

# Inline functions are the header's own.
declared=$(${CC:-cc} -E -P "$header" | tr '\n' ' ' |
    sed -E 's/static inline [^{]*\{[^}]*\}//g' | grep -oE '\bzdb_[a-z0-9_]+ *\(' |
    tr -d ' (' | sort -u)
# The version itself is a symbol too, of type A; functions and data carry it as a suffix.
exported=$(nm -D --defined-only "$library" | awk '$2 != "A" { print $3 }' | sort -u)

while read -r name; do
    case $name in
    *@@"$symbol_version") ;;
    *) problem "$name is exported without the version $symbol_version" ;;
    esac
done <<<"$exported"

names=${exported//@@$symbol_version/}
while read -r name; do
    problem "$name is declared in $header but $library does not export it"
done < <(comm -23 <(echo "$declared") <(echo "$names"))
while read -r name; do
    problem "$name is exported by $library but not declared in $header"
done < <(comm -13 <(echo "$declared") <(echo "$names"))

dynamic=$(LC_ALL=C readelf --dynamic --wide "$library")
found=$(sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p' <<<"$dynamic")
[ "$found" = "$soname" ] || problem "the SONAME is '$found', not '$soname'"
while read -r needed; do
    [[ $needed =~ $needed_allowed ]] || problem "$library needs $needed, which users may not have"
done < <(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' <<<"$dynamic")
while read -r path; do
    problem "$library looks for libraries in '$path' of the machine it was built on"
done < <(sed -nE 's/.*\((RPATH|RUNPATH)\).*\[(.*)\]/\2/p' <<<"$dynamic")
while read -r line; do
    problem "$library loads or misses: $line"
done < <(ldd "$library" | grep -E 'not found|[Ss]wift|Foundation|libdispatch|BlocksRuntime' || true)

# A program that loads the library at run time has some 1600 bytes for all of its libraries.
tls=$(LC_ALL=C readelf --segments --wide "$library" | awk '$1 == "TLS" { print $6 }')
((${tls:-0} <= tls_max_bytes)) ||
    problem "$library has $((tls)) bytes of thread-local storage; the limit is $tls_max_bytes"

size=$(stat -c %s "$library")
((size < size_max_bytes)) ||
    problem "$library has $size bytes stripped; the limit is $size_max_bytes"

if ((problems > 0)); then exit 1; fi
echo "check-exports: $(wc -l <<<"$names") functions, all zdb_*@@$symbol_version; $found;" \
    "no Swift library; $((size / 1000)) kB stripped"
