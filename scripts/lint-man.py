"""Compares the man page with the public header: every function and callback with its
parameters, every constant, every option; and nothing that the header does not have.
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "include" / "zerodb.h"
PAGE = ROOT / "man" / "zerodb.3"

# Versions and limits that a reader of the page does not need by name, and guards.
UNLISTED = {
    "ZERODB_H",
    "ZDB_VERSION_MAJOR",
    "ZDB_VERSION_MINOR",
    "ZDB_VERSION_PATCH",
    "ZDB_VERSION_STRING",
}

Prototype = tuple[str, tuple[str, ...]]


def spaced(text: str) -> str:
    """A declaration with its white space made regular, so that two can be compared."""
    return re.sub(r"\s*\*\s*", " *", re.sub(r"\s+", " ", text)).strip()


def header_prototypes(code: str) -> dict[str, Prototype]:
    """The functions and callback types of the header: name, result, parameters."""
    found: dict[str, Prototype] = {}
    result = r"^((?:typedef |static inline )?[a-z][\w ]*?[ *]+)"
    pattern = result + r"\(?\*?(zdb_\w+)\)?\(([^()]*)\)\s*[;{]"
    for returned, name, parameters in re.findall(pattern, code, re.MULTILINE):
        listed = tuple(spaced(parameter) for parameter in parameters.split(","))
        found[name] = (spaced(returned.replace("static inline ", "")), listed)
    return found


def page_prototypes(page: str) -> dict[str, Prototype]:
    """The same of the page's synopsis."""
    synopsis = page[page.index(".Sh SYNOPSIS") : page.index(".Sh DESCRIPTION")]
    found: dict[str, Prototype] = {}
    for result, call in re.findall(r"^\.Ft (.*)\n\.Fn (.*)$", synopsis, re.MULTILINE):
        words = [quoted or bare for quoted, bare in re.findall(r'"([^"]*)"|(\S+)', call)]
        name = words[0].strip("(*)")
        found[name] = (spaced(result), tuple(spaced(word) for word in words[1:]))
    return found


def problems(header: str, page: str) -> list[str]:
    """What the page lacks, says differently, or says of things that are not there."""
    code = re.sub(r"/\*.*?\*/", "", header, flags=re.DOTALL)
    told: list[str] = []

    declared, listed = header_prototypes(code), page_prototypes(page)
    for name in sorted(declared.keys() | listed.keys()):
        if name not in listed:
            told.append(f"the synopsis lacks {name}")
        elif name not in declared:
            told.append(f"the synopsis has {name}, which the header does not declare")
        elif declared[name] != listed[name]:
            told.append(f"{name} is {listed[name]} in the page, {declared[name]} in the header")

    description = page[page.index(".Sh DESCRIPTION") :]
    for name in sorted(declared):
        if not name.endswith("_fn") and not re.search(rf"\b{name}\b", description):
            told.append(f"{name} is in the synopsis only: describe it")

    constants = set(re.findall(r"^#define (Z\w+)", code, re.MULTILINE)) - UNLISTED
    constants |= set(re.findall(r"^\s+(ZDB_\w+) = \d+", code, re.MULTILINE))
    named = set(re.findall(r"\bZDB_[A-Z_]+\b", page)) - {"ZDB_"}
    told += [f"{name} is nowhere in the page" for name in sorted(constants - named)]
    told += [f"the header has no {name}" for name in sorted(named - constants)]

    options = re.search(r"typedef struct zdb_env_options \{(.*?)\}", code, re.DOTALL)
    fields = re.findall(r"(\w+);", options.group(1)) if options else []
    for field in fields:
        if field not in {"struct_size", "reserved"} and not re.search(
            rf"^\.It Va .*\b{field}\b", page, re.MULTILINE
        ):
            told.append(f"the option {field} is not listed")

    if len(declared) < 2 or not constants or not fields:
        told.append("the header was not understood: mend this script")
    return told


def main() -> int:
    """Tells the problems; the exit code says whether there were any."""
    found = problems(HEADER.read_text(encoding="utf-8"), PAGE.read_text(encoding="utf-8"))
    for problem in found:
        print(f"lint-man: {PAGE.name}: {problem}", file=sys.stderr)
    if not found:
        print("lint-man: man/zerodb.3 has all that include/zerodb.h has")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
