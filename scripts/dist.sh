#!/usr/bin/env bash
# Makes a source tarball that builds without git and without a network: the files that git knows, as they are
# now, and vendor/swift-argument-parser.
#
#   scripts/dist.sh NAME TARBALL      NAME is the folder in it; the name of TARBALL says the compression
#
# The same sources give the same bytes. The folder debian is not among them, as distributions like it.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly name=$1 tarball=$2
readonly swift=${SWIFT:-swift}
readonly checkout=.build/checkouts/swift-argument-parser

if [ ! -e "$checkout/Package.swift" ]; then "$swift" package resolve; fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/$name/vendor"
git ls-files -z -- ':!debian' | tar --null --files-from=- --create | tar --extract --directory "$work/$name"
cp -R "$checkout" "$work/$name/vendor/"
# Its build needs none of these. Its manifest says which folders it has, so these stay as they are.
rm -rf "$work/$name/vendor/swift-argument-parser/"{.git,.github,.swiftpm}

mkdir -p "$(dirname "$tarball")"
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
tar --create --auto-compress --file "$tarball" --directory "$work" --sort=name --mtime="@$epoch" \
    --owner=0 --group=0 --numeric-owner --mode=u=rwX,go=rX --format=gnu "$name"
echo "dist: $tarball"
