"""The command `stat` of :mod:`zerodb._tool`."""

from __future__ import annotations

import sys
from typing import Any

import zerodb
from zerodb._tool_common import DAMAGED, NOT_DONE, SUCCESS, message_of, open_environment
from zerodb._tool_output import (
    bytes_text,
    digest_text,
    name_text,
    number,
    path_text,
    prometheus_lines,
    without_none,
    write,
    write_json,
    write_table,
)
from zerodb._types import DatabaseFlags, DatabaseStat, Metric

_FLAG_NAMES = {
    "reverse_key": "reverse keys",
    "dupsort": "duplicates",
    "integer_key": "integer keys",
    "dupfixed": "duplicates of one size",
    "integer_dup": "integer duplicates",
    "reverse_dup": "reverse duplicates",
    "counted": "counted",
}


def run_stat(options: Any) -> int:
    """Runs it. :returns: the exit status."""
    if options.metrics:
        if options.database is not None or options.readers:
            print("zerodb stat: --database and --readers go with the summary", file=sys.stderr)
            return NOT_DONE
        return _stat_metrics(options)
    try:
        with open_environment(options) as environment:
            return _summarize(options, environment, "open", [])
    except (zerodb.CorruptedError, zerodb.RecoveryNeededError) as error:
        failure = error
    # As recovery mode shows it: with its log replayed in memory.
    needs_recovery = isinstance(failure, zerodb.RecoveryNeededError)
    told: list[str] = []
    settings: dict[str, Any] = {
        "recovery": True,
        "on_event": lambda _, message: told.append(message),
        "event_level": "warning",
    }
    with open_environment(options, **settings) as environment:
        why = (
            "it was not closed cleanly; its log has been replayed in memory only"
            if needs_recovery
            else message_of(failure)
        )
        state = "needs recovery" if needs_recovery else "damaged"
        _summarize(options, environment, state, [why, *told])
    return SUCCESS if needs_recovery and not told else DAMAGED


def _summarize(
    options: Any, environment: zerodb.Environment, state: str, notes: list[str]
) -> int:
    readers = environment.readers()
    info = environment.info()
    databases: list[dict[str, Any]] = []
    if options.database is None:
        databases.append(_database_result(None, environment.stat()))
    with environment.begin() as transaction:
        if options.database == "":
            databases.append(_database_result(None, transaction.stat()))
        elif options.database is not None:
            one = transaction.stat(transaction.db(options.database))
            databases.append(_database_result(options.database, one))
        else:
            named = transaction.databases()
            databases += [_database_result(name, one) for name, one in named.items()]
    snapshots = [reader.txn_id for reader in readers if reader.txn_id is not None]
    summary: dict[str, Any] = without_none(
        environment=path_text(options.environment),
        state=state,
        environmentID=info.environment_id.hex(),
        formatVersion=info.format_version,
        pageSize=info.page_size,
        fileSize=info.file_size,
        maxSize=info.max_size,
        pages=info.page_count,
        freePages=info.free_pages,
        pinnedPages=info.pinned_pages,
        transaction=info.last_txn_id,
        checkpoint=info.checkpoint_txn_id,
        logBytes=info.log_bytes,
        maxReaders=info.max_readers,
        oldestReader=min(snapshots, default=None),
        maxKeySize=info.max_key_size,
        digest=digest_text(info.digest),
        databases=databases,
        readers=[
            without_none(
                process=reader.process_id,
                thread=reader.thread,
                snapshot=reader.txn_id,
                seconds=reader.open_ns / 1e9,
            )
            for reader in readers
        ],
        notes=notes,
    )
    if options.json:
        write_json(summary)
    else:
        _write_summary(summary, options.readers)
    return SUCCESS


def _database_result(name: str | None, stat: DatabaseStat) -> dict[str, Any]:
    pages = stat.branch_pages + stat.leaf_pages + stat.overflow_pages
    return without_none(
        name=None if name is None else name_text(name.encode()),
        flags=_flag_names(stat.flags),
        depth=stat.depth,
        entries=stat.entries,
        keys=stat.keys,
        branchPages=stat.branch_pages,
        leafPages=stat.leaf_pages,
        overflowPages=stat.overflow_pages,
        bytes=pages * stat.page_size,
        digest=digest_text(stat.digest),
    )


def _flag_names(flags: DatabaseFlags) -> list[str]:
    return [name for field, name in _FLAG_NAMES.items() if getattr(flags, field)]


def _write_summary(summary: dict[str, Any], lists_readers: bool) -> None:
    state = summary["state"]
    write(summary["environment"] + ("" if state == "open" else f" ({state})"))

    def size(pages: int) -> str:
        return f"{pages} ({bytes_text(pages * summary['pageSize'])})"

    readers = f"{len(summary['readers'])} of at most {summary['maxReaders']}"
    if "oldestReader" in summary:
        readers += f", the oldest at transaction {summary['oldestReader']}"
    file_size, max_size = bytes_text(summary["fileSize"]), bytes_text(summary["maxSize"])
    form = f"version {summary['formatVersion']}, pages of {summary['pageSize']} bytes"
    write_table(
        [
            ("environment id", summary["environmentID"]),
            ("format", form),
            ("file", f"{file_size} of at most {max_size}"),
            ("pages", size(summary["pages"])),
            ("free pages", size(summary["freePages"])),
            ("waiting for a checkpoint", str(summary["pinnedPages"])),
            ("newest transaction", str(summary["transaction"])),
            ("checkpoint", f"transaction {summary['checkpoint']}"),
            ("log to replay", bytes_text(summary["logBytes"])),
            ("largest key", f"{summary['maxKeySize']} bytes"),
            ("digest", summary["digest"]),
            ("readers", readers),
        ]
    )
    if lists_readers:
        for reader in summary["readers"]:
            snapshot = reader.get("snapshot")
            shown = "no snapshot" if snapshot is None else f"transaction {snapshot}"
            write(
                f"  process {reader['process']}, thread {reader['thread']}: {shown}, "
                f"open for {int(reader['seconds'])} s"
            )
    for database in summary["databases"]:
        write(f"database {database['name']}" if "name" in database else "main database")
        rows = [("flags", ", ".join(database["flags"]))] if database["flags"] else []
        rows.append(("entries", str(database["entries"])))
        if database["keys"] != database["entries"]:
            rows.append(("keys", str(database["keys"])))
        pages = ", ".join(
            f"{database[f'{kind}Pages']} {kind}" for kind in ("branch", "leaf", "overflow")
        )
        rows += [
            ("depth", str(database["depth"])),
            ("pages", f"{pages} ({bytes_text(database['bytes'])})"),
            ("digest", database["digest"]),
        ]
        write_table(rows)
    for note in summary["notes"]:
        write(f"note: {note}")


def _stat_metrics(options: Any) -> int:
    with open_environment(options) as environment:
        metrics = environment.metrics()
    if options.json:
        results = [_metric_result(metric) for metric in metrics]
        write_json(
            {"environment": path_text(options.environment), "metrics": results, "notes": []}
        )
    else:
        sys.stdout.writelines(prometheus_lines(metrics, path_text(options.environment)))
    return SUCCESS


def _metric_result(metric: Metric) -> dict[str, Any]:
    label, label_value = metric.label or (None, None)
    is_histogram = metric.kind == "histogram"
    buckets = [{"bound": number(b.bound), "count": b.count} for b in metric.buckets[:-1]]
    return without_none(
        name=metric.name,
        kind=metric.kind,
        label=label,
        labelValue=label_value,
        value=number(metric.value),
        count=metric.count if is_histogram else None,
        buckets=buckets if is_histogram else None,
    )
