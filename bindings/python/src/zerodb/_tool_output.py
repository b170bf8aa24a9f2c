"""What the commands of :mod:`zerodb._tool` print, in the form that zerodb(1) has for it."""

from __future__ import annotations

import json
import math
import os
import sys
import time
import unicodedata
from collections.abc import Iterable
from typing import Any

from zerodb._types import Metric


def write(line: str, stream: Any = None) -> None:
    """Writes a line. What a terminal would take for a command is escaped: names come from files
    that anybody may have made."""
    shown = "".join(
        character if character == "\n" or _is_shown(character) else f"\\u{{{ord(character):x}}}"
        for character in line
    )
    out = stream or sys.stdout
    encoding = out.encoding or "utf-8"
    print(shown.encode(encoding, "backslashreplace").decode(encoding), file=out)


def _is_shown(character: str) -> bool:
    return unicodedata.category(character) not in ("Cc", "Cf", "Cs")


def write_table(rows: list[tuple[str, str]]) -> None:
    """Writes lines of a name and what it is, with the second in a column."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        write(f"  {name:{width}}  {value}")


def write_json(value: dict[str, Any]) -> None:
    """Writes a value with its names sorted."""
    print(json.dumps(value, indent=2, sort_keys=True))


def without_none(**values: Any) -> dict[str, Any]:
    """A value for JSON, which has no names for what is not known."""
    return {name: value for name, value in values.items() if value is not None}


def name_text(name: bytes) -> str:
    """Bytes of a name, as text where they are text that a terminal can show."""
    try:
        text = name.decode()
    except UnicodeDecodeError:
        return "0x" + name.hex()
    return f'"{text}"' if all(map(_is_shown, text)) else "0x" + name.hex()


def path_text(path: str) -> str:
    """A path as the library's messages show it, and the program."""
    return os.fsencode(path).decode("utf-8", "replace")


def digest_text(digest: int) -> str:
    """A digest in hexadecimal."""
    return f"{digest:032x}"


def count_text(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts: "1 page", "2 pages"."""
    return f"{number} {one if number == 1 else many or one + 's'}"


def bytes_text(count: int) -> str:
    """A number of bytes, as people read it: "23.5 MiB"."""
    units = ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")
    unit = max(count.bit_length() - 1, 0) // 10
    if unit == 0:
        return count_text(count, "byte")
    rest = (count >> 10 * (unit - 1) & 1023) * 10 // 1024
    return f"{count >> 10 * unit}.{rest} {units[unit]}"


def time_text(nanoseconds: int) -> str:
    """A time in nanoseconds since 1970: "2026-11-26 18:00:00 UTC"."""
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(nanoseconds // 10**9))


def number(value: float) -> float:
    """A number without a fraction where it has none."""
    return int(value) if value == round(value) and abs(value) < 1e15 else value


def prometheus_lines(metrics: Iterable[Metric], environment: str) -> Iterable[str]:
    """Lines of Prometheus's text format."""
    last = ""
    for metric in metrics:
        name = metric.name
        if name != last:
            yield f"# HELP {name} {metric.help}\n# TYPE {name} {metric.kind}\n"
            last = name
        labels = [("environment", environment)] + ([metric.label] if metric.label else [])
        if metric.kind != "histogram":
            yield f"{name}{_labels(labels)} {number(metric.value)}\n"
            continue
        for bucket in metric.buckets:
            bound = "+Inf" if math.isinf(bucket.bound) else str(number(bucket.bound))
            yield f"{name}_bucket{_labels([*labels, ('le', bound)])} {bucket.count}\n"
        yield f"{name}_sum{_labels(labels)} {number(metric.value)}\n"
        yield f"{name}_count{_labels(labels)} {metric.count}\n"


def _labels(labels: Iterable[tuple[str, str]]) -> str:
    escapes = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n"})
    return (
        "{" + ",".join(f'{name}="{value.translate(escapes)}"' for name, value in labels) + "}"
    )
