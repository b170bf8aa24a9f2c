"""Metrics, limits, and the collector for prometheus_client."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

import zerodb
from zerodb.prometheus import Collector


def work(environment: zerodb.Environment, thread: int) -> None:
    for number in range(20):
        with environment.begin(write=True) as txn:
            txn[b"key %d %d" % (thread, number)] = b"value"
        with environment.begin() as txn:
            assert txn.get(b"key %d %d" % (thread, number)) == b"value"
            assert txn.get(b"absent") is None


def test_metrics_agree_with_what_threads_have_done(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env") as environment:
        threads = [threading.Thread(target=work, args=(environment, n)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        metrics = {metric.full_name: metric for metric in environment.metrics()}
        assert metrics['zerodb_operations_total{operation="put"}'].value == 80
        assert metrics['zerodb_operations_total{operation="get"}'].value == 160
        assert metrics["zerodb_absent_gets_total"].value == 80
        assert metrics["zerodb_read_transaction_seconds"].count == 80
        assert environment.metric("zerodb_write_transactions_committed_total") == 80
        assert environment.metric("zerodb_read_transaction_seconds") == 80


def test_a_metric_has_a_kind_a_help_and_buckets_that_add_up(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env") as environment:
        work(environment, 0)
        for metric in environment.metrics():
            assert metric.name.startswith("zerodb_")
            assert metric.help.endswith(".")
            assert (metric.kind == "histogram") == bool(metric.buckets)
            assert (metric.kind == "counter") == metric.name.endswith("_total")
            counts = [bucket.count for bucket in metric.buckets]
            assert counts == sorted(counts)
        flush = next(m for m in environment.metrics() if m.name == "zerodb_log_flush_seconds")
        assert flush.count == 20
        assert 0 < flush.value < 60
        assert flush.buckets[-1].bound == float("inf")


def test_an_unknown_metric_is_not_found(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env") as environment, pytest.raises(zerodb.NotFoundError):
        environment.metric("zerodb_nothing")


def test_errors_and_limits_are_counted(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env", max_txn_pages=5) as environment:
        assert environment.limits().max_txn_pages == 5
        assert environment.limits().key_size == environment.max_key_size
        with pytest.raises(zerodb.TransactionFullError), environment.begin(write=True) as txn:
            for number in range(100):
                txn[b"key %d" % number] = b"v" * 1000
        assert environment.metric('zerodb_errors_total{kind="transactionFull"}') == 1
        assert environment.metric('zerodb_limits_hit_total{limit="max_txn_pages"}') == 1


def test_the_collector_hands_all_metrics_to_the_client(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "one") as one, zerodb.open(tmp_path / "two") as two:
        work(one, 0)
        registry = CollectorRegistry()
        registry.register(Collector(one, two))
        found = {
            (sample.name, tuple(sorted(sample.labels.items()))): sample.value
            for family in text_string_to_metric_families(generate_latest(registry).decode())
            for sample in family.samples
        }
        for environment, puts in ((one, 20.0), (two, 0.0)):
            place = ("environment", environment.path)
            key = ("zerodb_operations_total", (place, ("operation", "put")))
            assert found[key] == puts
            assert found["zerodb_page_size_bytes", (place,)] == 4096
            assert found["zerodb_read_transaction_seconds_count", (place,)] == puts
            assert (
                found["zerodb_read_transaction_seconds_bucket", (place, ("le", "+Inf"))] == puts
            )
        names = {metric.name for metric in one.metrics()}
        families = {family.name for family in Collector(one).collect()}
        assert families == {name[:-6] if name.endswith("_total") else name for name in names}


def test_the_collector_leaves_out_a_closed_environment(tmp_path: Path) -> None:
    environment = zerodb.open(tmp_path / "env")
    collector = Collector(environment)
    assert list(collector.collect())
    environment.close()
    assert not list(collector.collect())


def test_the_collector_takes_a_path_that_is_no_text(tmp_path: Path) -> None:
    odd = os.fsdecode(os.fsencode(tmp_path) + b"/a\xff")
    with zerodb.open(odd) as environment:
        registry = CollectorRegistry()
        registry.register(Collector(environment))
        assert f'environment="{tmp_path}/a\ufffd"'.encode() in generate_latest(registry)


def test_slow_transactions_are_told_of(tmp_path: Path) -> None:
    events: list[tuple[str, str]] = []
    with zerodb.open(
        tmp_path / "env", slow_txn_ms=20, on_event=lambda *event: events.append(event)
    ) as environment:
        with environment.begin(write=True) as txn:
            txn[b"key"] = b"value"
            time.sleep(0.03)
        with environment.begin(write=True) as txn:
            txn[b"key"] = b"other"
    slow = [message for level, message in events if level == "warning"]
    assert slow
    assert slow[0].startswith("slow write transaction 2: ")
    assert "1 puts" in slow[0]


def test_events_come_from_a_level_on(tmp_path: Path) -> None:
    events: list[str] = []
    with zerodb.open(
        tmp_path / "env",
        event_level="debug",
        on_event=lambda level, message: events.append(f"{level}: {message}"),
    ) as environment:
        with environment.begin(write=True) as txn:
            txn[b"key"] = b"value"
        environment.checkpoint()
    assert any("debug: a checkpoint of" in event for event in events)
