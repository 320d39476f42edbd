"""Print how many bytes a span takes in ClickHouse, in the exporter's own table; in the environment `history`.

    python benchmarks/telemetry_clickhouse.py ROWS

Each row is a call with the attributes that a call of the demo has; ids, numbers and times differ from row to row.
"""

from __future__ import annotations

import sys
import tempfile

from chdb.session import Session

TABLE = """
CREATE TABLE otel_traces (
    Timestamp DateTime64(9) CODEC(Delta, ZSTD(1)), TraceId String CODEC(ZSTD(1)), SpanId String CODEC(ZSTD(1)),
    ParentSpanId String CODEC(ZSTD(1)), SpanName LowCardinality(String) CODEC(ZSTD(1)),
    ServiceName LowCardinality(String) CODEC(ZSTD(1)),
    ResourceAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    SpanAttributes Map(LowCardinality(String), String) CODEC(ZSTD(1)), Duration UInt64 CODEC(ZSTD(1)),
    StatusCode LowCardinality(String) CODEC(ZSTD(1))
) ENGINE = MergeTree PARTITION BY toDate(Timestamp) ORDER BY (ServiceName, SpanName, toDateTime(Timestamp))
"""
FILL = """
INSERT INTO otel_traces SELECT
    toDateTime64('2026-11-01 00:00:00', 9) + number / 100, lower(hex(randomString(16, 1))),
    lower(hex(randomString(8, 2))), lower(hex(randomString(8, 3))), concat('chat model-', toString(rand() % 12)),
    concat('service-', toString(rand(1) % 20)),
    map('service.name', concat('service-', toString(rand(1) % 20)), 'service.instance.id', toString(rand(2) % 100),
        'telemetry.sdk.language', 'python', 'telemetry.sdk.name', 'opentelemetry', 'telemetry.sdk.version', '1.45.2'),
    map('gen_ai.operation.name', 'chat', 'gen_ai.provider.name', 'openai', 'gen_ai.request.model',
        concat('model-', toString(rand() % 12)), 'gen_ai.response.model', concat('model-', toString(rand() % 12)),
        'gen_ai.response.id', concat('chatcmpl-', lower(hex(randomString(12, 4)))), 'server.address', 'api.example.com',
        'gen_ai.request.max_tokens', '400', 'gen_ai.response.finish_reasons', '["stop"]', 'user.id',
        concat('u-', toString(rand(3) % 50000)), 'session.id', concat('s-', lower(hex(randomString(4, 5)))),
        'tracetoll.feature', concat('feature-', toString(rand(4) % 30)), 'gen_ai.agent.name', 'planner',
        'gen_ai.usage.input_tokens', toString(rand(5) % 8000), 'gen_ai.usage.output_tokens', toString(rand(6) % 900),
        'gen_ai.usage.cache_read.input_tokens', toString(rand(7) % 4000), 'tracetoll.usage.source', 'provider',
        'tracetoll.cost.amount', toString(rand(8) / 1e11), 'tracetoll.cost.currency', 'USD', 'tracetoll.cost.source',
        'local', 'tracetoll.request.id',
        concat('req_', lower(hex(randomString(12, 6)))), 'tracetoll.context.utilization',
        toString(rand(9) / 4e9)),
    rand64(10) % 5000000000, 'Unset'
FROM numbers({rows})
"""


def main(rows: int) -> None:
    """Fill a table, and print what it takes."""
    with tempfile.TemporaryDirectory() as place:
        session = Session(place)
        for statement in ("CREATE DATABASE otel", "USE otel", TABLE, FILL.format(rows=rows)):
            session.query(statement)
        session.query("OPTIMIZE TABLE otel_traces FINAL")
        size = int(
            str(session.query("SELECT sum(bytes_on_disk) FROM system.parts WHERE active AND table = 'otel_traces'"))
        )
        session.close()
    print(f"ClickHouse: {size / rows:.0f} bytes a call on disk, without its indexes")


if __name__ == "__main__":
    main(int(sys.argv[1]))
