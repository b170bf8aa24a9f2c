"""python -m zerodb: see :mod:`zerodb._tool`."""

import sys

from zerodb import _tool

if __name__ == "__main__":
    sys.exit(_tool.main())
