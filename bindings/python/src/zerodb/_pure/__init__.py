"""The core in Python, on ctypes: what runs where `zerodb._native` does not.

The two offer the same classes, see :mod:`zerodb._core`.
"""

from zerodb._pure.cursor import CursorCore
from zerodb._pure.database import DatabaseCore
from zerodb._pure.environment import EnvironmentCore
from zerodb._pure.transaction import TransactionCore

__all__ = ["CursorCore", "DatabaseCore", "EnvironmentCore", "TransactionCore"]
