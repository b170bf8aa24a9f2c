#!/usr/bin/env bash
# Prints the functions that the public header declares, one a line, its inline ones too.
#
#   scripts/functions.sh HEADER
#
# This needs no compiler: names of callbacks and of types are not followed by a list of parameters.
set -euo pipefail

tr '\n' ' ' <"$1" | sed -E 's@/\*([^*]|\*+[^*/])*\*+/@@g' |
    grep -oE '\bzdb_[a-z0-9_]+ *\([^()]*\) *[;{]' | grep -oE '^zdb_[a-z0-9_]+' | sort -u
