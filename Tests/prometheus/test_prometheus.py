"""What Prometheus's own programs make of the metrics, the alerts and the dashboard."""

from __future__ import annotations

import json
import re
import time
import urllib.parse
from pathlib import Path
from typing import Any

import zerodb
from conftest import SHARED, WAIT_SECONDS, fetch, free_port, metrics_of, run, serving

RULES = SHARED / "prometheus" / "zerodb-alerts.yml"
DASHBOARD = SHARED / "grafana" / "zerodb.json"


def fill(environment: zerodb.Environment, puts: int) -> None:
    with environment.begin(write=True) as transaction:
        for number in range(puts):
            transaction[b"key %d" % number] = b"value"


def test_promtool_takes_the_metrics(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env") as environment:
        assert run("promtool", "check", "metrics", text=metrics_of(tmp_path / "env")) == ""
        fill(environment, 100)
        reader = environment.begin()
        fill(environment, 200)
        assert run("promtool", "check", "metrics", text=metrics_of(tmp_path / "env")) == ""
        reader.abort()


def test_promtool_takes_the_alerts() -> None:
    assert "SUCCESS" in run("promtool", "check", "rules", RULES)


def test_promtool_finds_that_alerts_fire_when_they_should(tmp_path: Path) -> None:
    test = {
        "rule_files": [str(RULES)],
        "evaluation_interval": "1m",
        "tests": [
            {
                "interval": "1m",
                "input_series": [
                    {"series": 'zerodb_failed_flush{environment="e"}', "values": "0 0 0 1 1"},
                    {
                        "series": 'zerodb_oldest_reader_age_seconds{environment="e"}',
                        "values": "0+300x20",
                    },
                ],
                "alert_rule_test": [
                    {"eval_time": "2m", "alertname": "ZeroDBFlushFailed", "exp_alerts": []},
                    {"eval_time": "2m", "alertname": "ZeroDBOldReader", "exp_alerts": []},
                ],
                "promql_expr_test": [
                    {
                        "expr": "count(ALERTS{alertstate='firing'}) by (alertname)",
                        "eval_time": "4m",
                        "exp_samples": [
                            {"labels": '{alertname="ZeroDBFlushFailed"}', "value": 1},
                            {"labels": '{alertname="ZeroDBOldReader"}', "value": 1},
                        ],
                    }
                ],
            }
        ],
    }
    (tmp_path / "test.yml").write_text(json.dumps(test))
    assert "SUCCESS" in run("promtool", "test", "rules", tmp_path / "test.yml")


def expressions() -> list[str]:
    """The queries of the dashboard, with its variables filled in."""
    dashboard = json.loads(DASHBOARD.read_text())
    found = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    return [
        text.replace("$__rate_interval", "1m").replace("$environment", ".*") for text in found
    ]


def test_alerts_and_dashboard_name_metrics_that_there_are(tmp_path: Path) -> None:
    with zerodb.open(tmp_path / "env") as environment:
        names = {metric.name for metric in environment.metrics()}
    for metric in list(names):
        names |= {metric + suffix for suffix in ("_bucket", "_sum", "_count")}
    for text in [RULES.read_text(), *expressions()]:
        for name in re.findall(r"\bzerodb_[a-z_]+", text):
            assert name in names, name


def query(url: str, expression: str) -> list[dict[str, Any]]:
    answer = json.loads(fetch(f"{url}/api/v1/query?query={urllib.parse.quote(expression)}"))
    assert answer["status"] == "success", answer
    result: list[dict[str, Any]] = answer["data"]["result"]
    return result


def await_value(url: str, expression: str, value: float) -> None:
    """Waits until a query has one result, which is this number."""
    end = time.monotonic() + WAIT_SECONDS
    found: list[dict[str, Any]] = []
    while time.monotonic() < end:
        found = query(url, expression)
        if len(found) == 1 and float(found[0]["value"][1]) == value:
            return
        time.sleep(0.2)
    raise AssertionError(f"{expression} is {found}, not {value}")


def configuration(exporter: int) -> str:
    return json.dumps(
        {
            "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [
                {
                    "job_name": "node",
                    "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}],
                }
            ],
        }
    )


def test_a_real_prometheus_scrapes_them_from_files_of_node_exporter(tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    path = tmp_path / "env"
    exporter, port = free_port(), free_port()
    (tmp_path / "prometheus.yml").write_text(configuration(exporter))
    url = f"http://127.0.0.1:{port}"
    node = [
        "prometheus-node-exporter",
        "--collector.disable-defaults",
        "--collector.textfile",
        f"--collector.textfile.directory={texts}",
        f"--web.listen-address=127.0.0.1:{exporter}",
    ]
    server = [
        "prometheus",
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
    ]

    def write_metrics() -> None:
        # As cron would: a file that is written as a whole.
        (texts / "zerodb.new").write_text(metrics_of(path))
        (texts / "zerodb.new").rename(texts / "zerodb.prom")

    with zerodb.open(path) as environment:
        fill(environment, 10)
    write_metrics()
    with (
        serving(node, f"http://127.0.0.1:{exporter}/metrics", tmp_path / "node.log"),
        serving(server, f"{url}/-/ready", tmp_path / "prometheus.log"),
    ):
        puts = 'zerodb_operations_total{operation="put"}'
        await_value(url, puts, 10)
        with zerodb.open(path) as environment:
            fill(environment, 32)
            write_metrics()
            await_value(url, puts, 42)
            await_value(url, "zerodb_databases", 0)
        await_value(url, "node_textfile_scrape_error", 0)
        buckets = query(url, 'zerodb_commit_flush_seconds_bucket{le="+Inf"}')
        assert [float(bucket["value"][1]) for bucket in buckets] == [2]
        assert buckets[0]["metric"]["environment"] == str(path)
        for expression in expressions():
            query(url, expression)
        groups = json.loads(fetch(f"{url}/api/v1/rules"))["data"]["groups"]
        assert {rule["health"] for group in groups for rule in group["rules"]} <= {
            "ok",
            "unknown",
        }
