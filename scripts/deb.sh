#!/usr/bin/env bash
# Builds the Debian packages from a source tarball, without git and without a network, and looks at them with
# lintian.
#
#   scripts/deb.sh VERSION TARBALL FOLDER       TARBALL is that of scripts/dist.sh; FOLDER gets the packages
#
# Swift is not in Debian: the toolchain on PATH is taken.
set -euo pipefail
cd "$(dirname "$0")/.."

readonly version=$1 tarball=$2 folder=$3
readonly source=$folder/zerodb-$version

rm -rf "$folder"
mkdir -p "$folder/no-git"
cp "$tarball" "$folder/zerodb_$version.orig.tar.xz"
tar --extract --file "$tarball" --directory "$folder"
cp -R debian "$source/"

# A git that nobody may call.
printf '#!/bin/sh\necho "no git here" >&2\nexit 127\n' >"$folder/no-git/git"
chmod +x "$folder/no-git/git"

echo "deb: dpkg-buildpackage in $source"
(cd "$source" && PATH=$folder/no-git:$PATH dpkg-buildpackage --unsigned-source --unsigned-changes \
    >"$folder/build.log" 2>&1) || {
    tail -n 40 "$folder/build.log" >&2
    echo "deb: dpkg-buildpackage failed; all it said is in $folder/build.log" >&2
    exit 1
}
lintian --fail-on error --tag-display-limit 0 --allow-root "$folder"/zerodb_"$version"-*.changes
ls "$folder"/*.deb
