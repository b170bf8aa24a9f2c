#!/usr/bin/env python3
"""Checks that the engine's files refer downwards only.

A folder of Sources/ZeroDB is a layer. Each type and function that a layer declares belongs to
it. A file that names one of a layer above its own is an error, and so is an unretained
reference below Environment. A name that several layers declare counts as the lowest one's.

    lint_layers.py [SOURCES]
"""

import re
import sys
from collections import defaultdict
from pathlib import Path

# From the bottom.
LAYERS = (
    "Platform",
    "Format",
    "Store",
    "Tree",
    "Transaction",
    "Maintenance",
    "Environment",
    "API",
)
TYPE = re.compile(r"^\s*(?:[\w@()]+ )*(?:struct|class|enum|protocol|typealias) (\w+)", re.M)
FUNCTION = re.compile(r"^\s*(?:[\w@()]+ )*(?:func|case) (\w+)", re.M)
# Functions of the standard library that some layer has too: nothing tells whose is called.
STANDARD = {"allocate", "append", "contains", "deallocate", "get", "initialize", "load"}
STANDARD |= {"split", "state", "store"}
COMMENT = re.compile(r"//.*$", re.M)
INTERPOLATION = re.compile(r"(\\\([^()]*(?:\([^()]*\)[^()]*)*\))")
STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
UNRETAINED = "takeUnretainedValue"


def code(path: Path) -> str:
    """A file without its comments; line numbers stay."""
    return COMMENT.sub("", path.read_text())


def without_strings(line: str) -> str:
    """A line without its strings; what is interpolated in them stays."""
    inner = " ".join(INTERPOLATION.findall(line)) if '"' in line else ""
    return STRING.sub('""', INTERPOLATION.sub("", line)) + inner


def check(sources: Path) -> list[str]:
    """What refers upwards, as messages."""
    rank = {layer: index for index, layer in enumerate(LAYERS)}
    files = sorted(sources.rglob("*.swift"))
    problems = [
        f"{path}: not in the folder of a layer ({', '.join(LAYERS)})"
        for path in files
        if path.relative_to(sources).parts[0] not in rank
    ]
    types: dict[str, set[str]] = defaultdict(set)
    functions: dict[str, set[str]] = defaultdict(set)
    texts = {path: code(path) for path in files}
    for path, text in texts.items():
        layer = path.relative_to(sources).parts[0]
        for name in TYPE.findall(text):
            types[name].add(layer)
        for name in FUNCTION.findall(text):
            functions[name].add(layer)
    for path, text in texts.items():
        own = rank.get(path.relative_to(sources).parts[0], -1)
        for number, line in enumerate(text.splitlines(), 1):
            if UNRETAINED in line and 0 <= own < rank["Environment"]:
                problems.append(f"{path}:{number}: {UNRETAINED} below Environment")
            for match in re.finditer(r"(?<!@)\b(\w+)\b(\(?)", without_strings(line)):
                name = match[1]
                homes = types.get(name, set()) if name[0].isupper() else set()
                if not homes and match[2] and name not in STANDARD:
                    homes = functions.get(name, set())
                if homes and own >= 0 and min(rank[home] for home in homes) > own:
                    problems.append(
                        f"{path}:{number}: {name} is of {'/'.join(sorted(homes))}, above"
                    )
    return problems


if __name__ == "__main__":
    found = check(Path(sys.argv[1] if len(sys.argv) > 1 else "Sources/ZeroDB"))
    for problem in found:
        print(f"layers: {problem}", file=sys.stderr)
    sys.exit(1 if found else 0)
