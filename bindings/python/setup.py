"""Puts the ZeroDB library into the wheel.

The environment variable ZERODB_LIBRARY_FILE says which file; without it the one that `make`
stages at the top of the repository is taken. Where there is neither, the wheel is one for all
platforms and the package finds the library of the system.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from setuptools import Distribution, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_py import build_py

VARIABLE = "ZERODB_LIBRARY_FILE"
STAGED_LIBRARY = Path(__file__).resolve().parents[2] / "build/stage/lib/libzerodb.so.1"


def library_file() -> Path | None:
    """The library to put into the wheel; None if there is none."""
    named = os.environ.get(VARIABLE)
    if named:
        path = Path(named)
        if not path.is_file():
            raise SystemExit(f"{VARIABLE} names {path.absolute()}, which is no file")
        return path
    return STAGED_LIBRARY if STAGED_LIBRARY.is_file() else None


class BuildWithLibrary(build_py):
    """Copies the library into the package."""

    def run(self) -> None:
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
        return library_file() is not None


class PlatformWheel(bdist_wheel):
    """Is for any Python 3: ctypes needs no ABI of Python's."""

    def get_tag(self) -> tuple[str, str, str]:
        tag: tuple[str, str, str] = super().get_tag()
        return tag if self.root_is_pure else ("py3", "none", tag[2])


commands: dict[str, Any] = {"build_py": BuildWithLibrary, "bdist_wheel": PlatformWheel}
setup(distclass=PlatformDistribution, cmdclass=commands)
