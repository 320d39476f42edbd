"""Ask the questions in collector-config/history of the collector's files, in DuckDB and in ClickHouse.

    python history.py FOLDER ANSWERS

FOLDER has traces.jsonl and logs.jsonl; what comes out goes into the file ANSWERS as JSON: engine → question → rows.
Runs in the environment `history`. ClickHouse is chdb, in this process; the exporter's tables are filled from the files.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
from chdb.session import Session

HISTORY = Path(__file__).resolve().parent.parent.parent / "collector-config" / "history"
QUESTIONS = {path.stem: path.read_text() for path in sorted((HISTORY / "questions").glob("*.sql"))}
DAILY = """
SELECT day, service, model, sum(calls) AS calls, sum(input_tokens) AS input_tokens, sum(output_tokens) AS output_tokens
FROM spend_by_day GROUP BY day, service, model ORDER BY day, service, model
"""
STATUSES = {0: "Unset", 1: "Ok", 2: "Error"}
# The columns that are asked for of the exporter's tables, as clickhouseexporter 0.159 makes them.
TABLES = """
CREATE TABLE otel_traces (
    Timestamp DateTime64(9), TraceId String, SpanId String, ParentSpanId String, SpanName LowCardinality(String),
    ServiceName LowCardinality(String), ResourceAttributes Map(LowCardinality(String), String), ScopeName String,
    SpanAttributes Map(LowCardinality(String), String), Duration UInt64, StatusCode LowCardinality(String)
) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp));
CREATE TABLE otel_logs (
    Timestamp DateTime64(9), TraceId String, EventName String, ServiceName LowCardinality(String),
    LogAttributes Map(LowCardinality(String), String)
) ENGINE = MergeTree ORDER BY (ServiceName, Timestamp)
"""


def plain(value: Any) -> Any:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return float(value) if isinstance(value, Decimal) else value


def ask_duckdb(folder: Path) -> dict[str, Any]:
    os.chdir(folder)
    connection = duckdb.connect()
    connection.execute((HISTORY / "duckdb.sql").read_text())
    answers: dict[str, Any] = {}
    for name, question in QUESTIONS.items():
        found = connection.execute(question)
        columns = [column[0] for column in found.description or ()]
        answers[name] = [dict(zip(columns, map(plain, row), strict=True)) for row in found.fetchall()]
    return answers


def text(value: dict[str, Any]) -> str:
    (kind, found), *_ = value.items() or [("", "")]
    if kind == "boolValue":
        return "true" if found else "false"
    return str(found)


def mapped(owner: dict[str, Any]) -> dict[str, str]:
    return {one["key"]: text(one["value"]) for one in owner.get("attributes", [])}


def rows_of_traces(file: Path) -> list[dict[str, Any]]:
    rows = []
    for line in file.read_text().splitlines():
        for resource in json.loads(line)["resourceSpans"]:
            about = mapped(resource["resource"])
            for scope in resource["scopeSpans"]:
                rows += [
                    {
                        "Timestamp": int(span["startTimeUnixNano"]) / 1e9,
                        "TraceId": span["traceId"],
                        "SpanId": span["spanId"],
                        "ParentSpanId": span.get("parentSpanId", ""),
                        "SpanName": span["name"],
                        "ServiceName": about.get("service.name", ""),
                        "ResourceAttributes": about,
                        "ScopeName": scope["scope"].get("name", ""),
                        "SpanAttributes": mapped(span),
                        "Duration": int(span["endTimeUnixNano"]) - int(span["startTimeUnixNano"]),
                        "StatusCode": STATUSES[span.get("status", {}).get("code", 0)],
                    }
                    for span in scope["spans"]
                ]
    return rows


def rows_of_logs(file: Path) -> list[dict[str, Any]]:
    return [
        {
            "Timestamp": int(record["observedTimeUnixNano"]) / 1e9,
            "TraceId": record.get("traceId", ""),
            "EventName": record.get("eventName", ""),
            "ServiceName": mapped(resource["resource"]).get("service.name", ""),
            "LogAttributes": mapped(record),
        }
        for line in file.read_text().splitlines()
        for resource in json.loads(line)["resourceLogs"]
        for scope in resource["scopeLogs"]
        for record in scope["logRecords"]
    ]


def statements(sql: str) -> list[str]:
    bare = "\n".join(line for line in sql.splitlines() if not line.startswith("--"))
    return [one.strip() for one in bare.split(";") if one.strip()]


def ask_clickhouse(folder: Path) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as place:
        session = Session(str(Path(place, "clickhouse")))
        session.query("CREATE DATABASE otel")
        session.query("USE otel")
        for statement in [*statements(TABLES), *statements((HISTORY / "clickhouse.sql").read_text())]:
            session.query(statement)
        tables = {
            "otel_traces": rows_of_traces(folder / "traces.jsonl"),
            "otel_logs": rows_of_logs(folder / "logs.jsonl"),
        }
        for table, rows in tables.items():
            file = Path(place, f"{table}.jsonl")
            file.write_text("\n".join(map(json.dumps, rows)))
            session.query(f"INSERT INTO {table} SELECT * FROM file('{file}', JSONEachRow)")  # noqa: S608  # our own names
        asked = {**QUESTIONS, "spend-by-day": DAILY}
        answers = {}
        for name, question in asked.items():
            found = session.query("\n".join(statements(question)), "JSONCompact")
            told = json.loads(str(found))
            columns = [column["name"] for column in told["meta"]]
            answers[name] = [dict(zip(columns, row, strict=True)) for row in told["data"]]
        session.close()
        return answers


def main(folder: Path, answers: Path) -> None:
    """Ask both, and write down what they say."""
    folder = folder.resolve()
    answers = answers.resolve()
    found = {"duckdb": ask_duckdb(folder), "clickhouse": ask_clickhouse(folder)}
    answers.write_text(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
