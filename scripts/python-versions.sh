#!/usr/bin/env bash
# Runs the tests of the Python package, from its wheels, on each Python that is on this machine.
#
#   scripts/python-versions.sh WHEELS FOLDER [PYTHON...]
#
# WHEELS has the wheel with the extension and that without, FOLDER gets a virtual environment for each
# Python. A PYTHON is a command or a version of pyenv; those that are not there are passed over, saying so.
# Without any: 3.9 to 3.14, and PyPy. PYTEST_ARGUMENTS go to pytest.
set -euo pipefail
shopt -s nullglob

readonly wheels=$1 folder=$2
shift 2
pythons=("$@")
if ((${#pythons[@]} == 0)); then pythons=(3.9 3.10 3.11 3.12 3.13 3.14 pypy3); fi
tests=$(cd "$(dirname "$0")/../bindings/python" && pwd)
readonly tests
with_extension=("$wheels"/*-abi3-*.whl)
fallback=("$wheels"/*-py3-none-*.whl)
failed=()
run=()

# The path of an interpreter; nothing if there is none.
interpreter() {
    local found
    for found in "${PYENV_ROOT:-$HOME/.pyenv}"/versions/"$1".*/bin/python; do
        echo "$found"
        return
    done
    command -v "python$1" || command -v "$1" || true
}

# try NAME PYTHON IMPLEMENTATION WHEEL: installs the wheel into a virtual environment, and tests it there.
try() {
    local name=$1 python=$2 implementation=$3 wheel=$4
    local venv="$folder/$name"
    local pip=("$venv/bin/python" -m pip install --quiet --disable-pip-version-check)
    if [[ ! -e $venv/.requirements ]]; then
        rm -rf "$venv"
        "$python" -m venv "$venv"
        # Apache Arrow has no wheels for some: its tests are passed over there.
        grep -v pyarrow "$tests/requirements-test.txt" >"$venv/requirements.txt"
        "${pip[@]}" --requirement "$venv/requirements.txt"
        "${pip[@]}" --only-binary :all: "$(grep pyarrow "$tests/requirements-test.txt")" 2>/dev/null || true
        touch "$venv/.requirements"
    fi
    "${pip[@]}" --no-deps --force-reinstall "$wheel"
    echo "python-versions: $name, $implementation, $(basename "$wheel")"
    local kind=extension
    if [[ $wheel == *-py3-none-* ]]; then kind=fallback; fi
    # shellcheck disable=SC2086
    if (cd "$tests" && ZERODB_TESTED_WHEEL=$kind ZERODB_IMPLEMENTATION=$implementation \
        "$venv/bin/python" -m pytest --quiet \
        -p no:cacheprovider ${PYTEST_ARGUMENTS:-} tests); then
        run+=("$name/$implementation")
    else
        failed+=("$name/$implementation")
    fi
}

for name in "${pythons[@]}"; do
    python=$(interpreter "$name")
    if [[ -z $python ]]; then
        echo "python-versions: there is no $name here; it is passed over"
        continue
    fi
    if [[ $("$python" -c 'import sys; print(sys.implementation.name)') == cpython ]]; then
        try "$name" "$python" native "${with_extension[0]}"
        # The wheel without the extension is for these too.
        try "$name" "$python" ctypes "${fallback[0]}"
    else
        try "$name" "$python" ctypes "${fallback[0]}"
    fi
done
echo "python-versions: passed: ${run[*]:-none}"
if ((${#failed[@]})); then
    echo "python-versions: failed: ${failed[*]}" >&2
    exit 1
fi
