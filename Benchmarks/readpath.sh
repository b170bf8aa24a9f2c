#!/bin/bash
# Shows the extra work of reads: system calls, locks, allocations, reference counting.
#
#   readpath.sh BENCH DIRECTORY [OPERATIONS]
#
# Every loop runs twice, with M and with 2 M operations, and the difference is what M operations
# do: work that happens once (opening, warming up, a cursor) is the same in both and drops out.
# System calls are counted by strace; calls of functions, instructions and locked instructions
# (lock prefix, or xchg with memory) by callgrind inside the loop alone.
#
# Wanted: no system call and no lock at all; for reads inside a transaction no allocation, no
# reference counting and no locked instruction either. Ends with status 1 if one is missed.
set -euo pipefail

usage="usage: readpath.sh BENCH DIRECTORY [OPERATIONS]"
bench=${1:?$usage}
directory=${2:?$usage}
operations=${3:-100000}
profiled=$((operations < 20000 ? operations : 20000))
entries=100000
engines="zerodb lmdb"
loops="get miss range begin-get"
# The function of bench that is a loop's body.
declare -A bodies=([get]=loop_get [miss]=loop_miss [range]=loop_range [begin-get]=loop_begin_get)

here=$(cd "$(dirname "$0")" && pwd)
for tool in strace valgrind objdump strip awk; do
    command -v "$tool" > /dev/null || {
        echo "readpath: $tool is missing: apt-get install strace valgrind binutils" >&2
        exit 2
    }
done
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# valgrind has less address space to give than ZeroDB reserves by default.
settings=(--n "$entries" --dir "$directory" --max-size $((4 << 30)))

# callgrind gives up on debugging information it does not know: it gets a copy of the library
# that has symbols only.
library=$(ldd "$bench" | sed -n 's/^[[:space:]]*libzerodb[^ ]* => \(.*\) (0x[0-9a-f]*)$/\1/p')
mkdir "$scratch/lib"
strip --strip-debug -o "$scratch/lib/$(basename "$library")" "$library"
# Without symbols for the Swift run-time library its calls cannot be counted by name. Locked
# instructions, of which atomic reference counting is made, are counted all the same.
nameless=0
if ! nm "$library" 2> /dev/null | grep swift_retain > /dev/null; then
    nameless=1
fi

run() { # engine loop operations
    "$bench" --loop "$2" --engine "$1" --count "$3" "${settings[@]}"
}

# ------------------------------------------------------------------ system calls

system_calls() { # engine loop operations -> the number made
    strace -f -c -U calls,name -o "$scratch/strace" \
        "$bench" --loop "$2" --engine "$1" --count "$3" "${settings[@]}" > /dev/null
    awk '$2 == "total" { print $1 }' "$scratch/strace"
}

# --------------------------------------------------------------------- callgrind

locked_list() { # object file -> a file with the addresses of its locked instructions
    local list="$scratch/locked${1//[\/ ]/_}"
    if [ ! -e "$list" ]; then
        objdump -d --no-show-raw-insn "$1" 2> /dev/null | awk '
            $2 == "lock" || ($2 ~ /^xchg/ && $0 ~ /\(/) { sub(/:$/, "", $1); print $1 }' > "$list"
    fi
    echo "$list"
}

profile() { # engine loop operations -> counts, as callgrind_counts.awk prints them
    local out="$scratch/callgrind.out" object
    rm -f "$out"
    LD_LIBRARY_PATH="$scratch/lib" valgrind -q --tool=callgrind \
        --collect-atstart=no --toggle-collect="${bodies[$2]}" \
        --dump-instr=yes --compress-strings=no --compress-pos=no --callgrind-out-file="$out" \
        "$bench" --loop "$2" --engine "$1" --count "$3" "${settings[@]}" > /dev/null
    while read -r object; do
        if [ -r "$object" ]; then
            printf '%s\t%s\n' "$object" "$(locked_list "$object")"
        fi
    done < <(sed -n 's/^ob=//p' "$out" | sort -u) > "$scratch/objects"
    awk -v locked_files="$scratch/objects" -f "$here/callgrind_counts.awk" "$out"
}

per_operation() { # counts of M, counts of 2 M -> name and count for each operation
    awk -v operations="$profiled" '
        { name = $1; value = $2 }
        $1 == "call" { name = $0; sub(/^call [^ ]+/, "call", name) }
        NR == FNR { once[name] += value; next }
        { twice[name] += value }
        END { for (name in twice) print (twice[name] - once[name]) / operations, name }' "$1" "$2"
}

# -------------------------------------------------------------------------- main

declare -A counts # engine.loop.what -> number for each operation
for engine in $engines; do
    run "$engine" get 1 > /dev/null # makes the environment
    for loop in $loops; do
        echo "measuring $engine $loop ..." >&2
        once=$(system_calls "$engine" "$loop" "$operations")
        twice=$(system_calls "$engine" "$loop" $((2 * operations)))
        counts[$engine.$loop.syscalls]=$((twice - once))
        echo "$engine $loop: $once system calls with $operations operations," \
            "$twice with $((2 * operations))"

        profile "$engine" "$loop" "$profiled" > "$scratch/once"
        profile "$engine" "$loop" $((2 * profiled)) > "$scratch/twice"
        per_operation "$scratch/once" "$scratch/twice" > "$scratch/$engine.$loop"
        while read -r number what; do
            counts[$engine.$loop.$what]=$number
        done < <(grep -v ' call ' "$scratch/$engine.$loop")
    done
done

echo
demangle="cat"
if command -v swift-demangle > /dev/null; then
    demangle="swift-demangle --simplified"
fi
echo "Functions called, for each operation:"
for engine in $engines; do
    for loop in $loops; do
        echo "  $engine $loop:"
        grep ' call ' "$scratch/$engine.$loop" | awk '$1 > 0' | sort -rn | head -12 |
            awk '{ number = $1; sub(/^[^ ]+ call /, ""); printf "    %8.2f  %s\n", number, $0 }' |
            $demangle
    done
done

if [ "$nameless" = 1 ]; then
    echo
    echo "Note: $library has no symbols for the Swift run-time library: its calls are not counted."
fi

missed=0
line() { # loop what title wanted
    local zerodb=${counts[zerodb.$1.$2]:-0} lmdb=${counts[lmdb.$1.$2]:-0} verdict=""
    if [ "$4" = 0 ]; then
        if [ "$2" = refcounts ] && [ "$nameless" = 1 ]; then
            verdict=unknown
        elif awk "BEGIN { exit !($zerodb == 0) }"; then
            verdict=ok
        else
            verdict=MISS
            missed=$((missed + 1))
        fi
    fi
    printf '%-10s %-32s %12s %12s %8s  %s\n' "$1" "$3" "$zerodb" "$lmdb" "$4" "$verdict"
}

echo
printf '%-10s %-32s %12s %12s %8s\n' loop "for each operation" ZeroDB LMDB wanted
for loop in $loops; do
    inside=0 # wanted inside a transaction; beginning one may allocate its handle
    if [ "$loop" = begin-get ]; then
        inside=-
    fi
    line "$loop" syscalls "system calls (in $operations)" 0
    line "$loop" locks "calls that lock or unlock" 0
    line "$loop" locked "locked instructions" $inside
    line "$loop" allocations allocations $inside
    line "$loop" frees frees $inside
    line "$loop" refcounts "reference counting, access checks" $inside
    line "$loop" instructions "instructions" -
done
exit $((missed > 0))
