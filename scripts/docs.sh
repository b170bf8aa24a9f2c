#!/usr/bin/env bash
# Builds the documentation of the Swift package from its comments and the catalog
# Sources/ZeroDB/ZeroDB.docc, with the tools that come with Swift. Warnings are errors: a link that
# leads nowhere, a parameter that is not described.
#
#     scripts/docs.sh PRODUCTS OUTPUT    PRODUCTS: where `swift build` has put its modules
set -euo pipefail
cd "$(dirname "$0")/.."

products=$(readlink -f "$1")
readonly products output=$2
readonly swift=${SWIFT:-swift}

docc=$(dirname "$(readlink -f "$(command -v "$swift")")")/docc
[[ -x $docc ]] || docc=$(command -v docc) || {
    echo "docs: there is no docc beside $swift or on PATH; Swift's toolchains bring it" >&2
    exit 1
}

graphs=$(mktemp -d)
trap 'rm -rf "$graphs"' EXIT

"$swift" symbolgraph-extract -module-name ZeroDB -I "$products/Modules" \
    -Xcc "-fmodule-map-file=$products/CZeroDBPlatform.build/module.modulemap" \
    -target "$(basename "$(dirname "$products")")" -minimum-access-level public \
    -skip-inherited-docs -skip-synthesized-members -output-dir "$graphs"

mkdir -p "$(dirname "$output")"
rm -rf "$output"
"$docc" convert Sources/ZeroDB/ZeroDB.docc --additional-symbol-graph-dir "$graphs" \
    --fallback-display-name ZeroDB --fallback-bundle-identifier zerodb \
    --warnings-as-errors --output-dir "$output"
echo "docs: $output; look at it with: python3 -m http.server --directory $output"
echo 'docs: then open http://localhost:8000/documentation/zerodb'
