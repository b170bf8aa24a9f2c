"""Finding the library, and the content of the wheel."""

from __future__ import annotations

import ctypes.util
import os
import shutil
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

import zerodb

PACKAGE = Path(zerodb.__file__).parent
COMPILER = shutil.which("cc")
needs_compiler = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")

IS_FALLBACK = os.environ.get("ZERODB_TESTED_WHEEL") == "fallback"
"""Whether the installed wheel is that without the extension."""


def import_in_another_process(
    package: Path = PACKAGE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Imports the package in that folder and prints the library that it has loaded."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if name not in ("ZERODB_LIBRARY", "ZERODB_IMPLEMENTATION", "LD_LIBRARY_PATH")
    }
    return subprocess.run(
        [sys.executable, "-c", "import zerodb; print(zerodb.library_path)"],
        env={**inherited, "PYTHONPATH": str(package.parent), **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def package_without_library(folder: Path) -> Path:
    copy = folder / "zerodb"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    return copy


def compile_library(folder: Path, source: str) -> Path:
    assert COMPILER is not None
    library = folder / "libother.so"
    subprocess.run(
        [COMPILER, "-shared", "-fPIC", "-x", "c", "-o", str(library), "-"],
        input=source,
        text=True,
        check=True,
    )
    return library


def test_the_library_reports_its_version() -> None:
    assert zerodb.library_version.split(".")[0] == "1"
    assert zerodb.__version__ == metadata.version("zerodb")


def test_the_wheel_carries_the_library_and_the_types() -> None:
    files = {str(file) for file in metadata.files("zerodb") or []}
    assert "zerodb/libzerodb.so" in files
    assert "zerodb/py.typed" in files
    assert ("zerodb/_native.abi3.so" in files) is not IS_FALLBACK
    assert not [file for file in files if "test" in file]


def test_the_wheel_is_for_one_platform_and_any_cpython_from_3_9_on() -> None:
    wheel = metadata.distribution("zerodb").read_text("WHEEL") or ""
    tags = [line.partition(": ")[2] for line in wheel.splitlines() if line.startswith("Tag:")]
    assert len(tags) == 1
    kind = "py3-none" if IS_FALLBACK else "cp39-abi3"
    assert tags[0].startswith(kind + "-manylinux_2_")
    assert "Root-Is-Purelib: false" in wheel


def test_the_wheel_requires_nothing() -> None:
    needed = metadata.requires("zerodb") or []
    assert all("extra ==" in requirement for requirement in needed)


@pytest.mark.parametrize("implementation", ["native", "ctypes"])
def test_the_implementation_can_be_chosen(implementation: str) -> None:
    if implementation == "native" and IS_FALLBACK:
        pytest.skip("this wheel has no extension")
    assert zerodb.implementation == os.environ.get("ZERODB_IMPLEMENTATION", "native")
    result = subprocess.run(
        [sys.executable, "-c", "import zerodb; print(zerodb.implementation)"],
        env={**os.environ, "ZERODB_IMPLEMENTATION": implementation},
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stdout.strip() == implementation


def test_an_implementation_that_there_is_not_is_an_import_error(tmp_path: Path) -> None:
    result = import_in_another_process(ZERODB_IMPLEMENTATION="rust")
    assert "ImportError" in result.stderr
    assert "'rust'" in result.stderr
    libraries = {"ZERODB_LIBRARY": str(PACKAGE / "libzerodb.so")}
    package = package_without_library(tmp_path)
    result = import_in_another_process(package, ZERODB_IMPLEMENTATION="native", **libraries)
    assert "no extension for this Python" in result.stderr
    result = import_in_another_process(package, ZERODB_IMPLEMENTATION="", **libraries)
    assert result.returncode == 0, result.stderr


def test_all_that_is_exported_is_there() -> None:
    for name in zerodb.__all__:
        assert hasattr(zerodb, name)


def test_the_bundled_library_is_the_one_taken() -> None:
    result = import_in_another_process()
    assert result.stdout.strip() == str(PACKAGE / "libzerodb.so"), result.stderr


def test_the_variable_comes_before_the_bundled_library(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere.so"
    shutil.copyfile(PACKAGE / "libzerodb.so", elsewhere)
    result = import_in_another_process(ZERODB_LIBRARY=str(elsewhere))
    assert result.stdout.strip() == str(elsewhere), result.stderr


def test_without_a_bundled_library_the_system_is_asked(tmp_path: Path) -> None:
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    shutil.copyfile(PACKAGE / "libzerodb.so", libraries / "libzerodb.so.1")
    result = import_in_another_process(
        package_without_library(tmp_path), LD_LIBRARY_PATH=str(libraries)
    )
    assert result.stdout.strip() == "libzerodb.so.1", result.stderr


def test_a_library_that_the_variable_names_in_vain_is_an_import_error(tmp_path: Path) -> None:
    missing = tmp_path / "missing.so"
    result = import_in_another_process(ZERODB_LIBRARY=str(missing))
    assert result.returncode != 0
    assert "ImportError" in result.stderr
    assert str(missing) in result.stderr
    assert "ZERODB_LIBRARY" in result.stderr


@pytest.mark.skipif(
    ctypes.util.find_library("zerodb") is not None, reason="the system has the library"
)
def test_no_library_anywhere_is_an_import_error_that_says_where_it_looked(
    tmp_path: Path,
) -> None:
    package = package_without_library(tmp_path)
    result = import_in_another_process(package)
    assert result.returncode != 0
    assert "ImportError" in result.stderr
    assert str(package / "libzerodb.so") in result.stderr
    assert "libzerodb.so.1" in result.stderr
    assert "ZERODB_LIBRARY" in result.stderr


@needs_compiler
def test_a_library_of_another_major_version_is_an_import_error(tmp_path: Path) -> None:
    library = compile_library(
        tmp_path,
        """
        const char *zdb_version(int *major, int *minor, int *patch) {
            if (major) *major = 2;
            return "2.3.4";
        }
        """,
    )
    result = import_in_another_process(ZERODB_LIBRARY=str(library))
    assert result.returncode != 0
    assert "ImportError" in result.stderr
    assert "2.3.4" in result.stderr
    assert str(library) in result.stderr


@needs_compiler
def test_some_other_library_is_an_import_error(tmp_path: Path) -> None:
    library = compile_library(tmp_path, "int unrelated;")
    result = import_in_another_process(ZERODB_LIBRARY=str(library))
    assert result.returncode != 0
    assert "ImportError" in result.stderr
    assert "zdb_version" in result.stderr


def test_a_sub_interpreter_is_refused() -> None:
    program = """
import sys
interpreters = __import__(sys.argv[1])
number = interpreters.create()
interpreters.run_string(number, '''
try:
    import zerodb
except ImportError as error:
    print(error)
''')
"""
    module = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    result = subprocess.run(
        [sys.executable, "-c", program, module], capture_output=True, text=True, check=False
    )
    # Or "subinterpreter", where ctypes refuses it first.
    assert "interpreter" in result.stdout, result.stderr


def test_importing_the_package_imports_no_slow_modules() -> None:
    slow = {"asyncio", "dataclasses", "inspect", "re", "typing", "zerodb._types"}
    program = (
        "import sys; before = set(sys.modules); import zerodb; "
        "print(*sorted(set(sys.modules) - before))"
    )
    result = subprocess.run(
        # Without site, whose .pth files may import anything.
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}; {program}"],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = set(result.stdout.split())
    assert "zerodb._environment" in imported
    assert imported & slow == set()
