"""`zerodb-stat --metrics`, beside programs and without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import zerodb
from conftest import STAGE, Run, contents, damage_meta, everything, fill, leave_commits


def samples(text: str) -> dict[str, float]:
    """The lines of a text for Prometheus that are no comments."""
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}


def sample(text: str, path: str, name: str, label: str = "") -> float:
    labels = f'environment="{path}"' + (f",{label}" if label else "")
    return samples(text)[f"{name}{{{labels}}}"]


def test_a_closed_environment_tells_what_was_done(run: Run, path: Path) -> None:
    before = contents(path)
    result = run("zerodb-stat", "env", "--metrics")
    assert (result.returncode, result.stderr) == (0, "")
    assert sample(result.stdout, "env", "zerodb_operations_total", 'operation="put"') == 1000
    assert sample(result.stdout, "env", "zerodb_databases") == 1
    assert contents(path) == before
    # A look at them is nothing that is counted.
    again = run("zerodb-stat", "env", "--metrics")
    kept = {name: value for name, value in samples(result.stdout).items() if "_total" in name}
    unchanged = {name for name in kept if "checked" not in name and "recover" not in name}
    assert {name: samples(again.stdout)[name] for name in unchanged} == {
        name: kept[name] for name in unchanged
    }


def test_it_watches_programs_that_run_and_keeps_what_killed_ones_did(
    run: Run, tmp_path: Path
) -> None:
    program = (
        "import sys, zerodb\n"
        "environment = zerodb.open(sys.argv[1])\n"
        "for number in range(5):\n"
        "    with environment.begin(write=True) as transaction:\n"
        "        transaction[b'%d' % number] = sys.argv[2].encode()\n"
        "reader = environment.begin()\n"
        "print('ready', flush=True)\n"
        "sys.stdin.read()\n"
    )
    for turn in range(1, 4):
        child = subprocess.Popen(
            [sys.executable, "-c", program, tmp_path / "env", f"value {turn}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == b"ready\n"
        busy = run("zerodb-stat", "env", "--metrics")
        assert busy.returncode == 0
        assert sample(busy.stdout, "env", "zerodb_readers") == 1
        put = 'operation="put"'
        assert sample(busy.stdout, "env", "zerodb_operations_total", put) == 5 * turn
        full = 'durability="full"'
        name = "zerodb_write_transactions_committed_total"
        assert sample(busy.stdout, "env", name, full) == 5 * turn
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        child.stdin.close()
        child.stdout.close()
        left = run("zerodb-stat", "env", "--metrics")
        assert left.returncode == 0
        assert sample(left.stdout, "env", "zerodb_operations_total", put) == 5 * turn


def test_what_needs_recovery_shows_its_counts(run: Run, tmp_path: Path) -> None:
    leave_commits(tmp_path / "env")
    before = everything(tmp_path / "env")
    result = run("zerodb-stat", "env", "--metrics")
    assert result.returncode == 0
    assert "log holds transactions to replay" in result.stderr
    assert sample(result.stdout, "env", "zerodb_operations_total", 'operation="put"') == 10
    after = everything(tmp_path / "env")
    assert {k: v for k, v in after.items() if k != "lock.zdb"} == {
        k: v for k, v in before.items() if k != "lock.zdb"
    }


def test_damage_keeps_gauges_from_being_shown(run: Run, path: Path) -> None:
    damage_meta(path, 0, [0, 1])
    damage_meta(path, 1, [0, 1])
    result = run("zerodb-stat", "env", "--metrics")
    assert result.returncode == 1
    assert result.stderr
    assert sample(result.stdout, "env", "zerodb_operations_total", 'operation="put"') == 1000
    assert "zerodb_pages{" not in result.stdout


def test_a_user_who_may_only_read_is_shown_the_counts(run: Run, path: Path) -> None:
    (path / "lock.zdb").chmod(0o444)
    before = everything(path)
    program = STAGE / "bin" / "zerodb-stat"
    # Permissions bind the superuser only without its capabilities.
    bare = ["--bounding-set=-all", "--inh-caps=-all"]
    result = (
        run("/usr/bin/setpriv", *bare, str(program), "env", "--metrics")
        if os.geteuid() == 0
        else run("zerodb-stat", "env", "--metrics")
    )
    assert result.returncode == 0
    assert "write permission" in result.stderr
    assert sample(result.stdout, "env", "zerodb_operations_total", 'operation="put"') == 1000
    assert "zerodb_pages{" not in result.stdout
    assert everything(path) == before


def test_a_lock_file_of_noise_is_no_reason_to_fail(run: Run, path: Path) -> None:
    for noise in (b"", b"\xff" * 300_000, b"\0" * 100, os.urandom(200_000)):
        (path / "lock.zdb").write_bytes(noise)
        result = run("zerodb-stat", "env", "--metrics")
        assert (result.returncode, result.stderr) == (0, "")
        assert sample(result.stdout, "env", "zerodb_operations_total", 'operation="put"') == 0


def test_nothing_is_made_where_there_is_no_environment(run: Run, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "data.zdb").write_bytes(b"something else" * 1000)
    for name in ("absent", "empty", "foreign"):
        result = run("zerodb-stat", name, "--metrics")
        assert result.returncode == 2
        assert result.stdout == ""
        assert name in result.stderr
    assert not (tmp_path / "absent").exists()
    assert list((tmp_path / "empty").iterdir()) == []


def test_a_path_is_escaped_in_its_label(run: Run, tmp_path: Path) -> None:
    name = 'a "b"\\c'
    with zerodb.open(tmp_path / name) as environment:
        fill(environment)
    result = run("zerodb-stat", name, "--metrics")
    assert r'environment="a \"b\"\\c"' in result.stdout


def test_json_has_the_same_numbers(run: Run, path: Path) -> None:
    assert path.exists()
    text = run("zerodb-stat", "env", "--metrics").stdout
    shown = json.loads(run("zerodb-stat", "env", "--metrics", "--json").stdout)
    numbers = {
        (m["name"], m.get("label"), m.get("labelValue")): m["value"] for m in shown["metrics"]
    }
    assert numbers["zerodb_operations_total", "operation", "put"] == 1000
    assert numbers["zerodb_pages", None, None] == sample(text, "env", "zerodb_pages")
    read = next(m for m in shown["metrics"] if m["name"] == "zerodb_read_transaction_seconds")
    assert read["count"] == read["buckets"][-1]["count"]


def test_metrics_go_with_no_other_task(run: Run, path: Path) -> None:
    assert path.exists()
    assert run("zerodb-stat", "env", "--metrics", "--pages").returncode != 0
    assert run("zerodb-stat", "env", "--metrics", "--watch").returncode != 0
