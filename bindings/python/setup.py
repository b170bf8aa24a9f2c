"""Puts the ZeroDB library into the wheel, and builds the extension.

The environment variable ZERODB_LIBRARY_FILE says which library; without it the one that `make`
stages at the top of the repository is taken. Where there is neither, the wheel carries none,
and the package finds the library of the system.

The extension is built where there are a C compiler and the headers of Python, unless
ZERODB_EXTENSION is 0. Without it the package does the same on ctypes. A wheel with neither is
one for all platforms.
"""

from __future__ import annotations

import os
import re
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from setuptools import Distribution, Extension, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py
from setuptools.command.sdist import sdist

HERE = Path(__file__).resolve().parent
LIBRARY_VARIABLE = "ZERODB_LIBRARY_FILE"
EXTENSION_VARIABLE = "ZERODB_EXTENSION"
STAGED_LIBRARY = HERE.parents[1] / "build/stage/lib/libzerodb.so.1"
# The header is in the repository, or in a source distribution beside the sources.
HEADERS = [HERE.parents[1] / "include", HERE / "native"]


def library_file() -> Path | None:
    """The library to put into the wheel; None if there is none."""
    named = os.environ.get(LIBRARY_VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise SystemExit(f"{LIBRARY_VARIABLE} names {path.absolute()}, which is no file")
        return path
    return STAGED_LIBRARY if STAGED_LIBRARY.is_file() else None


def missing_for_extension() -> str | None:
    """What is missing to build the extension; None if nothing is."""
    if os.environ.get(EXTENSION_VARIABLE) == "0":
        return f"{EXTENSION_VARIABLE} is 0"
    if sys.implementation.name != "cpython":
        return f"{sys.implementation.name} does not load extensions for CPython"
    if sysconfig.get_config_var("Py_GIL_DISABLED"):
        return "this Python has no lock of the interpreter"
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()[0]
    if shutil.which(compiler) is None:
        return f"there is no C compiler ({compiler})"
    header = Path(sysconfig.get_path("include"), "Python.h")
    if not header.exists():
        return f"there is no {header} (Debian: python3-dev)"
    if not any((folder / "zerodb.h").exists() for folder in HEADERS):
        return "there is no zerodb.h"
    return None


MISSING = missing_for_extension()
EXTENSIONS = (
    []
    if MISSING
    else [
        Extension(
            "zerodb._native",
            sorted(str(path.relative_to(HERE)) for path in HERE.glob("native/*.c")),
            include_dirs=[str(folder) for folder in HEADERS],
            extra_compile_args=["-std=c11", "-fvisibility=hidden", "-O2"],
            py_limited_api=True,
        )
    ]
)


def manylinux_tag(library: Path, platform: str) -> str:
    """The tag for all systems whose C library is as new as the library needs, as `auditwheel`
    gives it; the platform itself where that is not glibc."""
    needed = re.findall(rb"\0GLIBC_2\.(\d+)", library.read_bytes())
    if not platform.startswith("linux_") or not needed:
        return platform
    return f"manylinux_2_{max(map(int, needed))}_{platform[len('linux_') :]}"


class BuildWithLibrary(build_py):
    """Copies the library into the package."""

    def run(self) -> None:
        if MISSING:
            print(f"zerodb: without the extension, as {MISSING}; the package does without")
        super().run()
        if self.editable_mode:
            return
        bundled = Path(self.build_lib, "zerodb", "libzerodb.so")
        # The folder is kept between builds, and so would be the library of an earlier one.
        bundled.unlink(missing_ok=True)
        library = library_file()
        if library is not None:
            shutil.copyfile(library, bundled)


class PlatformDistribution(Distribution):
    """Belongs to one platform if it carries the library, as if that were an extension."""

    def has_ext_modules(self) -> bool:
        return bool(EXTENSIONS) or library_file() is not None


class PlatformWheel(bdist_wheel):
    """Is for any CPython from 3.9 on, or without the extension for any Python 3."""

    def finalize_options(self) -> None:
        if EXTENSIONS:
            self.py_limited_api = "cp39"
        super().finalize_options()

    def get_tag(self) -> tuple[str, str, str]:
        python, abi, platform = super().get_tag()
        library = library_file()
        if self.root_is_pure or library is None:
            return python, abi, platform
        platform = manylinux_tag(library, platform)
        return (python, abi, platform) if EXTENSIONS else ("py3", "none", platform)


class SourceWithHeader(sdist):
    """Has the header of the library beside the sources."""

    def make_release_tree(self, base_dir: str, files: Any) -> None:
        super().make_release_tree(base_dir, files)
        header = HEADERS[0] / "zerodb.h"
        if header.exists():
            shutil.copyfile(header, Path(base_dir, "native", "zerodb.h"))


commands: dict[str, Any] = {
    "build_py": BuildWithLibrary,
    "bdist_wheel": PlatformWheel,
    "sdist": SourceWithHeader,
}
setup(distclass=PlatformDistribution, cmdclass=commands, ext_modules=EXTENSIONS)
