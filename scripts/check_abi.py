"""What abi.py takes for a change that programs do not stand, and what for an addition."""

from pathlib import Path

import abi
import pytest

HEADER = """
#include <stddef.h>
#include <stdint.h>
typedef struct zdb_val {
    const void *data;
    size_t size; /**< int hidden; */
} zdb_val;
typedef struct zdb_wide {
    size_t struct_size;
    uint32_t kind;
    uint32_t reserved;
} zdb_wide;
typedef enum zdb_op { ZDB_A = 0, ZDB_B = 1 } zdb_op;
typedef int (*zdb_fn)(void *context);
#define ZDB_C (-3)
static inline int zdb_easy(int a) { return a; }
int zdb_call(zdb_val *value, zdb_fn fn);
int zdb_do(zdb_wide *wide, zdb_op op, uint32_t flags);
const char *zdb_name(void);
"""
RECORDED = [
    "struct zdb_val size 16 align 8",
    "field zdb_val.data offset 0 size 8 type const void *",
    "struct zdb_wide size 16 align 8",
    "field zdb_wide.reserved offset 12 size 4 type uint32_t",
    "constant ZDB_C -3",
    "symbol zdb_call@@ZERODB_1",
]


@pytest.fixture(name="header")
def header_file(tmp_path: Path) -> Path:
    """A header in a file."""
    path = tmp_path / "zerodb.h"
    path.write_text(HEADER)
    return path


def changed(before: str, after: str) -> "tuple[list[str], list[str]]":
    """The judgement of the recorded lines with one changed, or removed."""
    lines = [after if line == before else line for line in RECORDED]
    assert before in RECORDED
    return abi.judge_layout(RECORDED, [line for line in lines if line])


def test_the_program_names_all_structs_fields_and_constants(header: Path) -> None:
    program = abi.layout_program(header)
    named = ("zdb_val, size", "zdb_wide, reserved", "constant ZDB_B", "constant ZDB_C")
    for name in (*named, "type const void *", "callback zdb_fn int (void *context)"):
        assert name in program
    assert "hidden" not in program


def test_the_stub_defines_what_is_exported_and_nothing_inline(header: Path) -> None:
    stub = abi.stub_library(header)
    assert "int zdb_call(zdb_val *value, zdb_fn fn) {" in stub
    assert "const char *zdb_name(void) {" in stub
    assert "zdb_easy" not in stub


def test_the_same_is_neither_a_break_nor_new() -> None:
    assert abi.judge_layout(RECORDED, RECORDED) == ([], [])


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("struct zdb_val size 16 align 8", "struct zdb_val size 24 align 8"),
        ("struct zdb_wide size 16 align 8", "struct zdb_wide size 8 align 8"),
        (
            "field zdb_val.data offset 0 size 8 type const void *",
            "field zdb_val.data offset 8 size 8 type const void *",
        ),
        ("field zdb_val.data offset 0 size 8 type const void *", ""),
        ("constant ZDB_C -3", "constant ZDB_C -4"),
        ("symbol zdb_call@@ZERODB_1", ""),
        (
            "field zdb_wide.reserved offset 12 size 4 type uint32_t",
            "field zdb_wide.other offset 16 size 4 type uint32_t",
        ),
    ],
)
def test_a_change_is_a_break(before: str, after: str) -> None:
    assert len(changed(before, after)[0]) == 1


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("struct zdb_wide size 16 align 8", "struct zdb_wide size 24 align 8"),
        (
            "field zdb_wide.reserved offset 12 size 4 type uint32_t",
            "field zdb_wide.flags offset 12 size 4 type uint32_t",
        ),
    ],
)
def test_a_struct_grows_and_reserved_fields_get_names(before: str, after: str) -> None:
    assert changed(before, after)[0] == []


def test_the_borders_of_structs_that_say_their_size_are_told() -> None:
    lines = [
        "struct zdb_val size 16 align 8",
        "field zdb_val.size offset 8 size 8 type size_t",
        "struct zdb_wide size 24 align 8",
        "field zdb_wide.struct_size offset 0 size 8 type size_t",
        "field zdb_wide.kind offset 8 size 8 type uint64_t",
        "field zdb_wide.flags offset 16 size 4 type uint32_t",
    ]
    header = abi.sizes_header(lines)
    assert "sizes_zdb_wide[] = {8, 16, 20, 24, 0};" in header
    assert "zdb_val" not in header
    assert "#define SIZED_STRUCTS 1\n" in header


def test_what_is_new_is_told() -> None:
    new = "constant ZDB_D 4"
    assert abi.judge_layout(RECORDED, [*RECORDED, new]) == ([], [new])


@pytest.mark.parametrize(
    ("before", "after", "is_break"),
    [
        ("uint32_t flags", "uint32_t flags", False),
        ("uint32_t flags", "uint64_t flags", True),
        ("int zdb_do(", "void zdb_do(", True),
        ("const char *zdb_name(void);", "", True),
        (
            "const char *zdb_name(void);",
            "const char *zdb_name(void);\nint zdb_more(int a);",
            False,
        ),
        ("uint32_t reserved;", "uint32_t reserved;\n    uint64_t more;", False),
        ("size_t size;", "size_t size;\n    size_t more;", True),
        ("ZDB_B = 1", "ZDB_B = 1, ZDB_E = 2", False),
        ("(*zdb_fn)(void *context)", "(*zdb_fn)(void *context, int more)", True),
    ],
)
def test_abidiff_judges_types(header: Path, before: str, after: str, is_break: bool) -> None:
    folder = header.parent
    recorded = folder / "recorded.abi"
    abi.record_types(abi.types(header, folder), recorded)
    header.write_text(HEADER.replace(before, after))
    assert bool(abi.judge_types(recorded, abi.types(header, folder), folder)) == is_break
