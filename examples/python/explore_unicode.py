"""Looks around in the environment that examples/c/load_unicode.c has made.

Run as ``python explore_unicode.py ENVIRONMENT``. The C program has written three databases:

- ``codepoints``: code point -> its properties, one "label: value" a line
- ``names``: name -> code point
- ``words``: word -> its line in the word list

Numbers are 4 bytes big-endian, so that keys are in the order of the numbers.
"""

from __future__ import annotations

import sys
import time
import unicodedata

import zerodb


def number(n: int) -> bytes:
    return n.to_bytes(4, "big")


def character(code_point: int) -> str:
    """The text for a code point: itself, with a circle under a mark that needs a base."""
    text = chr(code_point)
    return "\N{DOTTED CIRCLE}" + text if unicodedata.combining(text) else text


def properties(record: bytes) -> dict[str, str]:
    return dict(line.split(": ", 1) for line in record.decode().splitlines())


def heading(text: str) -> None:
    print(f"\n{text}")


def show_code_points(env: zerodb.Environment) -> None:
    """Point lookups, by code point and by name."""
    heading("Lookups")
    with env.begin() as txn:
        codepoints, names = txn.db("codepoints"), txn.db("names")
        for name in ("LATIN SMALL LETTER SHARP S", "HANGUL SYLLABLE HAN", "SNOWMAN"):
            key = txn.get(name.encode(), db=names)
            if key is None:
                print(f"  {name}: no such character")
                continue
            found = properties(txn.get(key, b"", db=codepoints))
            code_point = int.from_bytes(key, "big")
            print(f"  U+{code_point:04X}  {character(code_point)}  {found.pop('name')}")
            flags = found.pop("properties", "").split()
            print(
                "          " + ", ".join(f"{label} {value}" for label, value in found.items())
            )
            print(f"          {', '.join(flags[:5])}{', ...' if len(flags) > 5 else ''}")
        missing = txn.get(number(0x0378), db=codepoints)
        print(f"  U+0378     {'unassigned' if missing is None else 'assigned'}")


def show_ranges(env: zerodb.Environment) -> None:
    """Range queries: between two keys, by prefix, forwards and backwards."""
    heading("Ranges")
    with env.begin() as txn:
        codepoints, names, words = txn.db("codepoints"), txn.db("names"), txn.db("words")

        runes = txn.keys(codepoints, start=number(0x16A0), stop=number(0x1700))
        row("the Runic block", "".join(chr(int.from_bytes(key, "big")) for key in runes))

        chess = txn.values(names, prefix=b"WHITE CHESS ")
        row("names: WHITE CHESS *", " ".join(chr(int.from_bytes(key, "big")) for key in chess))

        row("words: zym*", " ".join(key.decode() for key in txn.keys(words, prefix=b"zym")))
        backwards = txn.keys(words, stop=b"zero", reverse=True)
        row("words back from zero", " ".join(next(backwards).decode() for _ in range(6)))


def row(label: str, text: str, width: int = 66) -> None:
    shown = text if len(text) <= width else text[: width - 3] + "..."
    print(f"  {label:<24}{shown}")


def compare_with_python(env: zerodb.Environment) -> bool:
    """Reads every code point and compares its name and category with Python's own tables."""
    heading("Every code point")
    compared = different = 0
    start = time.perf_counter()
    with env.begin() as txn:
        codepoints = txn.db("codepoints")
        total = txn.stat(codepoints).entries
        for key, record in txn.items(codepoints):
            code_point = int.from_bytes(key, "big")
            name = unicodedata.name(chr(code_point), "")
            if not name:
                continue  # a control code, or newer than this Python
            compared += 1
            different += not record.startswith(f"name: {name}\n".encode())
    seconds = time.perf_counter() - start
    print(f"  {total:,} read in {seconds:.2f} s; {compared:,} names compared with those of")
    print(f"  Python's Unicode {unicodedata.unidata_version}: {different or 'none'} different")
    return different == 0


def verify(env: zerodb.Environment) -> bool:
    heading("Verify")
    start = time.perf_counter()
    report = env.verify(on_problem=lambda problem: print(f"  {problem.message}"))
    seconds = time.perf_counter() - start
    print(
        f"  {report.pages:,} pages and {report.entries:,} entries checked in {seconds:.2f} s: "
        f"{'sound' if report.sound else f'{report.problems} problems'}"
    )
    return report.sound


def show_statistics(env: zerodb.Environment) -> None:
    heading("Statistics")
    info = env.info()
    print(
        f"  {'database':<12}{'entries':>10}{'depth':>7}{'branch':>9}{'leaf':>9}{'overflow':>10}"
    )
    for name in (None, "codepoints", "names", "words"):
        stat = env.stat(env.open_db(name))
        print(
            f"  {name or '(main)':<12}{stat.entries:>10,}{stat.depth:>7}{stat.branch_pages:>9,}"
            f"{stat.leaf_pages:>9,}{stat.overflow_pages:>10,}"
        )
    print(
        f"  file {info.file_size / 1e6:,.1f} MB of at most {info.max_size / 2**40:g} TiB; "
        f"{info.page_count:,} pages of {info.page_size:,} bytes, {info.free_pages:,} free"
    )
    print(
        f"  {info.last_txn_id:,} transactions; checksums {info.checksum}; "
        f"format version {info.format_version}; libzerodb {zerodb.library_version}"
    )


def main() -> int:
    if len(sys.argv) != 2:
        print("usage: explore_unicode.py ENVIRONMENT", file=sys.stderr)
        return 2
    # A terminal that lacks a character gets a question mark, not an exception.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    try:
        with zerodb.open(sys.argv[1], read_only=True) as env:
            show_code_points(env)
            show_ranges(env)
            sound = compare_with_python(env)
            sound = verify(env) and sound
            show_statistics(env)
    except zerodb.Error as error:
        print(f"explore_unicode: {error}", file=sys.stderr)
        return 1
    return 0 if sound else 1


if __name__ == "__main__":
    raise SystemExit(main())
