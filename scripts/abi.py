#!/usr/bin/env python3
"""Compares the C interface that was built with the one that is recorded in abi/, or records it.

    abi.py check LIBRARY STAGE     LIBRARY is the built libzerodb.so, STAGE where it is staged
    abi.py record LIBRARY

Three things are recorded, and docs/ABI.md says what may change in them:

- abi/zerodb.h, the header. Programs of Tests/abi that were compiled with it run with the
  built library.
- abi/layout.txt: sizes and offsets of structs, values of constants, and the symbols that the
  library exports, as a generated C program and nm say them.
- abi/zerodb.abi: the types of all functions, for abidiff of libabigail. What it compares is a
  library of empty functions that is compiled from the header, as debugging information of Swift
  has no types of C.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADER = ROOT / "include" / "zerodb.h"
RECORDED = ROOT / "abi"
TESTS = ROOT / "Tests"
PROGRAMS = [*sorted((TESTS / "abi").glob("*.c")), TESTS / "package" / "use.c"]
# Structs of the caller's, or in arrays, that do not say their size: these may not grow.
FIXED = {"zdb_val", "zdb_digest", "zdb_metric_bucket"}
# What differs in every version.
UNRECORDED = {f"ZDB_VERSION_{part}" for part in ("MAJOR", "MINOR", "PATCH", "STRING")}
# For abidiff: layout.txt judges the structs that say their size, and may grow at the end.
SUPPRESSIONS = f"""
[suppress_type]
  type_kind = struct
  name_not_regexp = ^({"|".join(sorted(FIXED))})$
  has_data_member_inserted_at = end
"""
# The exit status of abidiff has this for an error of its own or of its use.
ABIDIFF_ERROR = 1 | 2
CC = os.environ.get("CC") or "cc"


def run(*command: "str | Path") -> str:
    """What a command prints. Its failure ends this program, with what it says."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"abi: {' '.join(map(str, command))} failed:\n{done.stdout}{done.stderr}")
    return done.stdout


def declarations(header: Path) -> str:
    """The header's own declarations, without comments and without what it includes."""
    code = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.DOTALL)
    return re.sub(r"static inline [^{]*\{[^}]*\}", "", code)


def layout_program(header: Path) -> str:
    """A C program that prints the layout of all structs and the values of all constants."""
    code = declarations(header)
    lines = []
    for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\}", code, re.DOTALL):
        size = f"sizeof({name}), _Alignof({name})"
        lines.append(f'printf("struct {name} size %zu align %zu\\n", {size});')
        fields = re.findall(r"^ *(\w[\w *]*?)\b(\w+)(?:\[\w+\])?;", body, re.MULTILINE)
        for kind, field in fields:
            said = f"field {name}.{field} offset %zu size %zu type {kind.strip()}"
            place = f"offsetof({name}, {field}), sizeof((({name} *)0)->{field})"
            lines.append(f'printf("{said}\\n", {place});')
    for body, name in re.findall(r"typedef enum \w+ \{(.*?)\} (\w+);", code, re.DOTALL):
        lines.append(f'printf("enum {name} size %zu\\n", sizeof({name}));')
        for value in re.findall(r"(\w+) = ", body):
            lines.append(f'printf("constant {value} %lld\\n", (long long){value});')
    for name in re.findall(r"^#define (ZDB_\w+) ", code, re.MULTILINE):
        if name not in UNRECORDED:
            lines.append(f'printf("constant {name} %lld\\n", (long long){name});')
    for name in re.findall(r"^typedef \w+ (zdb_\w+);", code, re.MULTILINE):
        lines.append(f'printf("type {name} size %zu\\n", sizeof({name}));')
    callback = r"^typedef (\w[\w *]*?) *\(\*(\w+)\)\(([^)]*)\);"
    for result, name, parameters in re.findall(callback, code, re.MULTILINE):
        said = re.sub(r"\s+", " ", f"callback {name} {result} ({parameters})")
        lines.append(f'puts("{said}");')
    body = "\n    ".join(lines)
    includes = "".join(f"#include <{name}.h>\n" for name in ("stddef", "stdio", "zerodb"))
    return f"{includes}int main(void) {{\n    {body}\n}}\n"


def stub_library(header: Path) -> str:
    """A C source that defines every function that the header declares, to do nothing."""
    code = re.sub(r"^#.*$|^typedef[^;{]*;", "", declarations(header), flags=re.MULTILINE)
    functions = re.findall(r"^(\w[\w *]*?\bzdb_\w+\([^()]*\));", code, re.MULTILINE)
    bodies = [f"{function} {{ __builtin_trap(); }}" for function in functions]
    return "#include <zerodb.h>\n" + "\n".join(bodies) + "\n"


def layout(header: Path, library: Path, work: Path) -> "list[str]":
    """The lines of layout.txt."""
    source, program = work / "layout.c", work / "layout"
    source.write_text(layout_program(header), encoding="utf-8")
    run(CC, "-std=c11", f"-I{header.parent}", source, "-o", program)
    symbols = run("nm", "--dynamic", "--defined-only", library).splitlines()
    exported = [f"symbol {line.split()[2]}" for line in symbols if line.split()[1] != "A"]
    return run(program).splitlines() + sorted(exported)


def types(header: Path, work: Path) -> Path:
    """A library that has the types of the header in its debugging information."""
    source, library = work / "stub.c", work / "libzerodb.so.1"
    source.write_text(stub_library(header), encoding="utf-8")
    flags = ["-std=c11", "-g", "-O0", "-w", "-shared", "-fPIC", "-Wl,-soname=libzerodb.so.1"]
    flags.append(f"-Wl,--version-script={ROOT / 'zerodb.map'}")
    run(CC, *flags, f"-I{header.parent}", source, "-o", library)
    return library


def key(line: str) -> str:
    """What a line of layout.txt is about."""
    return " ".join(line.split()[:2])


def judge_layout(recorded: "list[str]", built: "list[str]") -> "tuple[list[str], list[str]]":
    """What no program stands, and what was added."""
    now = {key(line): line for line in built}
    places = {line.split(" ", 2)[2] for line in built if line.startswith("field ")}
    breaks = []
    for line in recorded:
        found = now.get(key(line))
        if found == line:
            continue
        kind, name = line.split()[:2]
        grows = kind == "struct" and name not in FIXED
        if found and grows and int(found.split()[3]) > int(line.split()[3]):
            continue
        # A reserved field may get a name.
        is_reserved = kind == "field" and name.endswith(".reserved")
        if not found and is_reserved and line.split(" ", 2)[2] in places:
            continue
        breaks.append(f"{line}, and now: {found or 'nothing'}")
    before = {key(line) for line in recorded}
    return breaks, [line for line in built if key(line) not in before]


def judge_types(recorded: Path, library: Path, work: Path) -> "list[str]":
    """Functions that abidiff finds removed or changed, with the types that they lead to."""
    suppressions = work / "suppressions"
    suppressions.write_text(SUPPRESSIONS, encoding="utf-8")
    options = ["--no-show-locs", "--no-corpus-path", "--suppressions", str(suppressions)]
    command = ["abidiff", *options, str(recorded), str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode & ABIDIFF_ERROR:
        sys.exit(f"abi: abidiff failed:\n{done.stdout}{done.stderr}")
    if done.returncode == 0:
        return []
    print(done.stdout.rstrip())
    counts = re.search(r"Functions changes summary: (\d+) Removed, (\d+) Changed", done.stdout)
    if counts and int(counts[1]) == int(counts[2]) == 0:
        return []
    return ["abidiff finds functions removed or changed, see there"]


def sizes_header(recorded: "list[str]") -> str:
    """A header for Tests/abi with the borders of the fields of each struct that says its size,
    the last one its size, and a 0."""
    lines = []
    sizes: dict[str, int] = {}
    borders: dict[str, list[int]] = {}
    for kind, name, *words in map(str.split, recorded):
        if kind == "struct":
            sizes[name] = int(words[1])
        elif kind == "field":
            struct, field = name.split(".")
            if field == "struct_size":
                borders[struct] = []
            if struct in borders:
                borders[struct].append(int(words[1]) + int(words[3]))
    for struct, found in borders.items():
        values = ", ".join(map(str, [*sorted({*found, sizes[struct]}), 0]))
        lines.append(f"static const size_t sizes_{struct}[] = {{{values}}};")
    lines.append(f"#define SIZED_STRUCTS {len(borders)}")
    return "#include <stddef.h>\n" + "\n".join(lines) + "\n"


def run_programs(stage: Path, work: Path, recorded: "list[str]") -> int:
    """Programs that know only the recorded header run with the built library. Their number."""
    environment = {**os.environ, "LD_LIBRARY_PATH": str(stage / "lib")}
    (work / "sizes.h").write_text(sizes_header(recorded), encoding="utf-8")
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", f"-I{RECORDED}", f"-I{work}"]
    for source in PROGRAMS:
        program = work / source.stem
        run(CC, *flags, source, "-o", program, f"-L{stage / 'lib'}", "-lzerodb")
        command = [program, work / f"{source.stem}.zdb"]
        done = subprocess.run(command, env=environment, capture_output=True, check=False)
        if done.returncode != 0:
            said = (done.stdout + done.stderr).decode()
            sys.exit(f"abi: {source.name} with the recorded header: {done.returncode}\n{said}")
    return len(PROGRAMS)


def record_types(library: Path, file: Path) -> None:
    """Writes what abidiff compares with."""
    options = ["--no-show-locs", "--no-corpus-path", "--no-comp-dir-path"]
    run("abidw", *options, "--out-file", file, library)


def record(library: Path, work: Path) -> None:
    """Writes abi/ anew."""
    RECORDED.mkdir(exist_ok=True)
    shutil.copyfile(HEADER, RECORDED / "zerodb.h")
    lines = layout(HEADER, library, work)
    (RECORDED / "layout.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    record_types(types(HEADER, work), RECORDED / "zerodb.abi")
    print("abi: recorded in abi/")


def check(library: Path, stage: Path, work: Path) -> int:
    """Tells what differs; 1 if a program that was compiled before could notice."""
    recorded = (RECORDED / "layout.txt").read_text(encoding="utf-8").splitlines()
    breaks, added = judge_layout(recorded, layout(HEADER, library, work))
    breaks += judge_types(RECORDED / "zerodb.abi", types(HEADER, work), work)
    for line in added:
        print(f"abi: new: {line}")
    for line in breaks:
        print(f"abi: {line}", file=sys.stderr)
    if breaks:
        print("abi: programs of before would not run; see docs/ABI.md", file=sys.stderr)
        return 1
    programs = run_programs(stage, work, recorded)
    said = f"{len(recorded)} lines of layout as recorded, {len(added)} new"
    print(f"abi: {said}; {programs} programs with the recorded header run")
    return 0


def main(arguments: "list[str]") -> int:
    """Does what the arguments say."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if len(arguments) == 2 and arguments[0] == "record":
            record(Path(arguments[1]), work)
            return 0
        if len(arguments) == 3 and arguments[0] == "check":
            return check(Path(arguments[1]), Path(arguments[2]), work)
    sys.exit("usage: abi.py check LIBRARY STAGE | abi.py record LIBRARY")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
