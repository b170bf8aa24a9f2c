#!/usr/bin/env bash
# Measures a database that is larger than the memory that the engine and its pages in the page cache may
# take: each engine runs alone, in a control group with a limit.
#
#     larger.sh BENCH DATA RESULTS [ENTRIES [LIMIT_MIB]]
#
# RESULTS is a directory that gets a results file for each engine. The group is made by systemd-run where
# systemd runs. Elsewhere make one yourself, give it the limit, and name its directory in CGROUP:
# this script only moves the benchmark's own process into it. Engines with a cache of their own get a
# third of the limit for it.
set -euo pipefail

readonly bench=$1 data=$2 results=$3 entries=${4:-2000000} limit=${5:-192}
engines=$("$bench" --engines)
readonly engines

# limited COMMAND... runs it in the control group.
if [ -n "${CGROUP:-}" ]; then
    limited() {
        bash -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$CGROUP" "$@"
    }
elif [ -d /run/systemd/system ] && command -v systemd-run >/dev/null; then
    limited() {
        systemd-run --quiet --scope -p "MemoryMax=${limit}M" -p MemorySwapMax=0 "$@"
    }
else
    echo "larger: no systemd here: make a control group with a limit of $limit MiB of memory, and" \
        "name its directory in CGROUP" >&2
    exit 1
fi

mkdir -p "$results" "$data"
rm -f "$results"/larger-*.json # larger-LIMIT-ENGINE.json
for engine in $engines; do
    case $engine in lmdb-writemap) continue ;; esac
    echo "== $engine, $limit MiB"
    limited "$bench" --only pressed --engine "$engine" --n "$entries" --cache-mib $((limit / 3)) \
        --dir "$data" --json "$results/larger-$limit-$engine.json" ||
        echo "larger: $engine did not finish within $limit MiB" >&2
done
