"""python -m zerodb.lmdb: see :mod:`zerodb.lmdb.tool`."""

import sys

from zerodb.lmdb import tool

if __name__ == "__main__":
    sys.exit(tool.main())
