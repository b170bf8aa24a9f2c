"""zerodb stat --pages and --page, as a user runs them."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import zerodb
from conftest import (
    PAGE_SIZE,
    Run,
    contents,
    damage,
    damage_meta,
    everything,
    leave,
    show,
    used_page,
)


def test_the_map_has_a_character_for_each_page(run: Run, path: Path) -> None:
    before = contents(path)
    result = run("zerodb-stat", "--pages", "env")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    end = lines.index("a page each")
    drawn = "".join(lines[1:end])
    size = (path / "data.zdb").stat().st_size
    assert len(drawn) == size // PAGE_SIZE
    assert drawn.startswith("MM")
    found = json.loads(run("zerodb-stat", "--pages", "--json", "env").stdout)
    assert drawn.count("L") == found["counts"]["leaf"]
    assert drawn.count(".") == found["counts"]["available"]
    assert sum(found["counts"].values()) == found["filePages"]
    assert sum(one["pages"] for one in found["runs"]) == found["filePages"]
    leaves = next(one for one in found["fill"] if one["use"] == "leaf")
    assert sum(leaves["tenths"]) == leaves["pages"] == found["counts"]["leaf"]
    assert contents(path) == before


def test_a_terminal_gets_colors_and_a_pipe_does_not(run: Run, path: Path) -> None:
    status, shown = show("zerodb-stat", "--pages", path)
    assert status == 0
    assert "\x1b[" in shown
    assert shown.count("\x1b[0m") >= 1
    assert "\x1b" not in run("zerodb-stat", "--pages", "env").stdout


def test_the_map_as_a_picture(run: Run, path: Path, tmp_path: Path) -> None:
    result = run("zerodb-stat", "--pages", "--svg", "map.svg", "env")
    assert (result.returncode, result.stderr) == (0, "")
    root = ET.parse(tmp_path / "map.svg").getroot()
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    assert len(root.findall("{http://www.w3.org/2000/svg}rect")) > 3
    # Once more, in its place.
    assert run("zerodb-stat", "--pages", "--svg", "map.svg", "env").returncode == 0
    (tmp_path / "notes.txt").write_text("mine")
    result = run("zerodb-stat", "--pages", "--svg", "notes.txt", "env")
    assert result.returncode == 2
    assert (tmp_path / "notes.txt").read_text() == "mine"
    before = contents(path)
    for name in ("env/data.zdb", "env/map.svg", "env/log/map.svg"):
        assert run("zerodb-stat", "--pages", "--svg", name, "env").returncode == 2
    assert contents(path) == before


def test_a_page_is_decoded(run: Run, path: Path) -> None:
    page = used_page(path)
    before = contents(path)
    found = json.loads(run("zerodb-stat", "--page", str(page), "--json", "env").stdout)
    data = (path / "data.zdb").read_bytes()[page * PAGE_SIZE : (page + 1) * PAGE_SIZE]
    assert bytes.fromhex(found["hex"]) == data
    assert found["header"]["checksum"] == found["header"]["computedChecksum"]
    assert found["header"]["page"] == page
    assert len(found["entries"]) == found["header"]["entries"] > 0
    assert found["entries"][0]["key"].startswith('"key')
    [referrer] = found["referrers"]
    above = json.loads(
        run("zerodb-stat", "--page", str(referrer["page"]), "--json", "env").stdout
    )
    assert above["entries"][referrer["index"]]["child"] == page
    text = run("zerodb-stat", "--page", str(page), "env").stdout
    assert re.search(r"checksum +0x[0-9a-f]{16}, right\n", text)
    assert f"{page * PAGE_SIZE:08x}  " in text
    assert contents(path) == before


def test_a_damaged_page_is_judged(run: Run, path: Path) -> None:
    page = used_page(path)
    damage(path, page)
    before = contents(path)
    result = run("zerodb-stat", "--page", str(page), "env")
    assert result.returncode == 1
    assert f"page {page}, byte {page * PAGE_SIZE} of data.zdb: damaged\n" in result.stdout
    assert "right: it says that it is page" in result.stdout
    assert "referred to by" in result.stdout
    result = run("zerodb-stat", "--pages", "env")
    assert result.returncode == 1
    assert "!" in result.stdout.splitlines()[1]
    assert f"problem: corrupted page {page} " in result.stdout
    assert contents(path) == before


def test_an_environment_that_needs_recovery(run: Run, tmp_path: Path) -> None:
    leave(tmp_path / "env")
    before = contents(tmp_path / "env")
    for options in (["--pages"], ["--page", "0"]):
        result = run("zerodb-stat", *options, "env")
        assert (result.returncode, result.stderr) == (0, "")
        assert "was not closed cleanly" in result.stdout
    assert contents(tmp_path / "env") == before


def test_damaged_meta_pages(run: Run, path: Path) -> None:
    damage_meta(path, page=0, copies=[0, 1])
    before = everything(path)
    for options in (["--pages"], ["--page", "3"], ["--page", "0"]):
        result = run("zerodb-stat", *options, "env")
        assert result.returncode == 1
        assert "both copies of its record are damaged" in result.stdout
    after = everything(path)
    after["lock.zdb"] = before["lock.zdb"] = b""
    assert after == before


def test_a_busy_environment(run: Run, path: Path) -> None:
    with zerodb.open(path) as environment, environment.begin(write=True) as transaction:
        transaction.put(b"key", b"value" * 5000)
        for options in (["--pages"], ["--page", "2"], ["--page", "0"]):
            assert run("zerodb-stat", *options, "env").returncode == 0


def test_a_page_behind_the_file(run: Run, path: Path) -> None:
    assert path.is_dir()
    for number in (10**6, 2**64 - 1):
        result = run("zerodb-stat", "--page", str(number), "env")
        assert (result.returncode, result.stdout) == (2, "")
        assert f"there is no page {number}" in result.stderr
