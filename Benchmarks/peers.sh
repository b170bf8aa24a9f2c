#!/usr/bin/env bash
# Brings the peers that no Debian package has, with pinned versions and checksums, from PyPI:
#
#     peers.sh DIRECTORY
#
# - LMDB 1.0: its sources lie in the source distribution of `lmdb`, unpatched (lib1/).
# - libmdbx: its shared library lies in the wheel `libmdbx`.
#
# The packages are only unpacked, though pip runs the setup.py of a source distribution to learn what
# it is. A peer that cannot be had here is
# left out with a line that says why. The exit status is 0 all the same: the benchmark does without.
set -euo pipefail

readonly directory=${1:?usage: peers.sh DIRECTORY}
readonly lmdb='lmdb==3.0.0 \
    --hash=sha256:06dda0723545e14d56ac7dcd6f582d9922c2ed5e16f1c3f8d0e670a96ec2ee65'
readonly mdbx='libmdbx==0.3.2 \
    --hash=sha256:e9e72d535806136b8f735e22c9bf990b9c07e5f8d269ee470dd3e708de0ea423'

# download REQUIREMENT OPTION... puts the file of one package into $downloads.
download() {
    local requirement=$1
    shift
    echo "$requirement" >"$downloads/requirements.txt"
    [ -d "$downloads/venv" ] || python3 -m venv "$downloads/venv"
    "$downloads/venv/bin/python" -m pip --disable-pip-version-check --quiet download \
        --no-deps --require-hashes --dest "$downloads" "$@" --requirement "$downloads/requirements.txt"
}

bring_lmdb() {
    download "$lmdb" --no-binary :all: || return 1
    tar -xzf "$downloads"/lmdb-*.tar.gz -C "$downloads" || return 1
    mkdir -p "$directory/lmdb1"
    cp "$downloads"/lmdb-*/lib1/{lmdb.h,mdb.c,midl.c,midl.h} "$directory/lmdb1/"
}

# The wheel does not depend on Python: one of them is as good as another.
bring_mdbx() {
    download "$mdbx" --only-binary :all: --python-version 3.11 --implementation cp --abi cp311 \
        --platform manylinux2014_x86_64 || return 1
    python3 -m zipfile -e "$downloads"/libmdbx-*.whl "$downloads/wheel" || return 1
    cp "$downloads/wheel/mdbx/lib/libmdbx.so" "$directory/libmdbx.so"
}

mkdir -p "$directory"
downloads=$(mktemp -d)
trap 'rm -rf "$downloads"' EXIT
[ -r "$directory/lmdb1/mdb.c" ] || bring_lmdb ||
    echo "peers: LMDB 1.0 is left out: the source distribution of PyPI's lmdb 3.0.0 cannot be had" >&2
if [ "$(uname -m)" != x86_64 ]; then
    echo "peers: libmdbx is left out: its wheel is for x86_64" >&2
else
    [ -r "$directory/libmdbx.so" ] || bring_mdbx ||
        echo "peers: libmdbx is left out: PyPI's wheel of libmdbx 0.3.2 cannot be had" >&2
fi
