#!/usr/bin/env python3
"""Checks what no compiler does: words, names, links and line lengths.

- No file has a word that the project has given up (RETIRED).
- A name in backquotes, in a comment of the sources or in a document, is a name that exists.
- A link in a document leads to a file, and to a heading in it.
- The project has one address, PROJECT_URL of the Makefile, and one host for its mail.
- A name of the C interface in a message is marked, and has a name in Swift.
- Lines are no longer than LINE_MAX, except in tables and where a line has no space to end at.

    lint_house.py [ROOT]
"""

import re
import subprocess
import sys
from pathlib import Path

LINE_MAX = 110
# As patterns that do not match themselves.
RETIRED = (
    "st[o]cks?",
    "m[e]mbers?",
    "s[e]ts",
    "k[i]nds",
    "s[e]ttle[sd]?",
    "w[e]ights?",
    "f[i]gures?",
    "w[o]rkers?",
    "r[e]mainders?",
    "br[o]ken",
    "outs[i]de",
    "m[e]ets?",
    "h[e]ld keys?",
    "fr[e]e[- ]space",
    "for ev[e]r",
    "needs n[o]t",
    "t[u]rns(?! out)",
)
# Also where a name in camel case begins with one.
RETIRED_RE = re.compile(r"(?<![A-Za-z_])((?i:" + "|".join(RETIRED) + r"))(?![a-z_])")
# What a retired word is in somebody else's language: Python's, C's, LMDB's, the licence.
ALLOWED = re.compile(
    r"__m[e]mbers__|max_w[o]rkers|mdb_\w+|--\w+-for-leak-k[i]nds|--show-leak-k[i]nds"
    r"|-skip-synthesized-m[e]mbers|st\.s[e]ts"
)
# Names of others that documents mention, and bytes of examples.
FOREIGN = re.compile(
    r"^(mdb_|MDB_)|^(hi|gree|ting|frid|ay|zdb_lock)$|^unsafeLoadUnaligned|^SCHED_BATCH$|^Sequence$"
)
PROSE = {".md", ".swift", ".h", ".c", ".py", ".3", ".sh", ".in", ".yml", ""}
SOURCES = {".swift", ".h", ".c", ".py", ".sh"}
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/", re.S)
NAME = re.compile(r"^[A-Za-z_][\w.+]*(?:\((?:[\w:, ]*|\.\.\.)\))?$")
# A host that has the project's name, or that somebody is still to fill in.
ADDRESS = re.compile(r"(?:://|[a-z]@)(<[a-z]+>|[\w.-]*\bzer[o]db\.[a-z]{2,}\b)")
MARKED = re.compile(r'\\\(c: "([^"]+)"\)')
BARE = re.compile(r"(?<![\w.\\])(?:ZDB_[A-Z_]+|zdb_(?:env|db|txn|cursor|get|put|del)\w*)")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")


def tracked(root: Path) -> list[Path]:
    """The files that git knows, without what is not the project's own words."""
    names = subprocess.run(
        ["git", "-C", str(root), "ls-files", "-co", "--exclude-standard"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    return [root / n for n in names if n != "LICENSE" and (root / n).is_file()]


def heading_anchor(line: str) -> str:
    """The anchor that a heading gets, by the rules of common renderers."""
    text = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", line.lstrip("#").strip())
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


def check_links(path: Path, text: str) -> list[str]:
    """Links of a document that lead nowhere."""
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        for target in LINK.findall(line):
            if re.match(r"[a-z]+:", target):
                continue
            name, _, anchor = target.partition("#")
            file = (path.parent / name) if name else path
            if not file.exists():
                problems.append(f"{path}:{number}: the link {target} leads to no file")
            elif anchor and file.suffix == ".md" and "ZeroDB.docc" not in file.parts:
                lines = file.read_text().splitlines()
                anchors = {heading_anchor(entry) for entry in lines if entry.startswith("#")}
                if anchor not in anchors:
                    problems.append(f"{path}:{number}: the link {target} leads to no heading")
    return problems


def check_names(path: Path, text: str, known: set[str], files: set[str]) -> list[str]:
    """Names in backquotes that nothing has."""
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        if path.suffix != ".md":
            line = line.partition("//")[2] if path.suffix == ".swift" else ""
        for quoted in re.findall(r"(?<!`)`([^`]+)`(?!`)", line):
            if not NAME.match(quoted) or FOREIGN.match(quoted) or quoted.rstrip("/") in files:
                continue
            name = quoted.partition("(")[0].rstrip(".")
            missing = [part for part in re.split(r"[.+]", name) if part and part not in known]
            if missing:
                problems.append(f"{path}:{number}: nothing has the name {quoted}")
    return problems


def check_messages(path: Path, text: str, names: str) -> list[str]:
    """Names of the C interface in messages of the engine that are not marked, or that `names`,
    the text of the file that says what they are in Swift, does not have.
    """
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        code = line.partition("// ")[0].partition("///")[0]
        for name in MARKED.findall(code):
            if ("_" in name) and f'"{name}":' not in names:
                problems.append(f"{path}:{number}: {name} has no name in Swift")
        for quoted in re.findall(r'"([^"]*)"', MARKED.sub("", code)):
            for name in BARE.findall(quoted):
                problems.append(f'{path}:{number}: not \\(c: "{name}")')
    return problems


def check_words(path: Path, text: str) -> list[str]:
    """Retired words, and lines that are too long."""
    problems = []
    for number, line in enumerate(text.splitlines(), 1):
        for word in RETIRED_RE.findall(ALLOWED.sub("", line)):
            problems.append(f"{path}:{number}: the retired word “{word}”")
        breakable = (
            " " in line.strip() and not line.lstrip().startswith("|") and "http" not in line
        )
        if len(line) > LINE_MAX and path.suffix in SOURCES and breakable:
            problems.append(f"{path}:{number}: {len(line)} characters; at most {LINE_MAX}")
    return problems


def check_addresses(path: Path, text: str, host: str) -> list[str]:
    """Addresses of the project that are not at its host."""
    return [
        f"{path}:{number}: {found[0]} is not at {host}, the PROJECT_URL of the Makefile"
        for number, line in enumerate(text.splitlines(), 1)
        for found in ADDRESS.finditer(line)
        if found[1] != host
    ]


def check(root: Path) -> list[str]:
    """All that is wrong, as messages."""
    texts = {}
    for path in tracked(root):
        if path.suffix in PROSE:
            texts[path] = path.read_text(errors="replace")
    known = set()
    for path, text in texts.items():
        if path.suffix != ".md":
            known.update(re.findall(r"\w+", COMMENT.sub("", text)))
    files = {str(path.relative_to(root)) for path in texts} | {path.name for path in texts}
    folders = {folder for path in texts for folder in path.relative_to(root).parents}
    files |= {str(folder) for folder in folders} | {folder.name for folder in folders}
    makefile = texts.get(root / "Makefile", "")
    project = re.search(r"^PROJECT_URL = https://(\S+)$", makefile, re.M)
    problems = []
    engine = root / "Sources" / "ZeroDB"
    names = texts.get(engine / "Platform" / "MessageNames.swift", "")
    for path, text in texts.items():
        problems += check_words(path, text)
        if project:
            problems += check_addresses(path, text, project[1])
        if (
            path.suffix == ".swift"
            and engine in path.parents
            and path.name != "MessageNames.swift"
        ):
            problems += check_messages(path, text, names)
        if path.suffix in {".md", ".swift"}:
            problems += check_names(path, text, known, files)
        if path.suffix == ".md":
            problems += check_links(path, text)
    return problems


if __name__ == "__main__":
    found = check(Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve())
    for problem in found:
        print(f"house: {problem}", file=sys.stderr)
    sys.exit(1 if found else 0)
