-- The same tables over what the collector's ClickHouse exporter writes (otel_traces, otel_logs): calls, tasks, evaluations.
-- Run it once in the exporter's database; then any file in questions/ can be asked. A span that came twice is there once.

CREATE FUNCTION IF NOT EXISTS p50 AS (x) -> quantileExact(0.5)(x);
CREATE FUNCTION IF NOT EXISTS p95 AS (x) -> quantileExact(0.95)(x);
CREATE FUNCTION IF NOT EXISTS p99 AS (x) -> quantileExact(0.99)(x);

-- One row for each call of a model that told its usage.
CREATE VIEW IF NOT EXISTS calls AS
SELECT
    TraceId AS trace_id, SpanId AS span_id, ServiceName AS service, toDate(Timestamp) AS day, Timestamp AS started,
    Duration / 1e9 AS seconds, StatusCode = 'Error' AS failed,
    SpanAttributes['gen_ai.provider.name'] AS provider,
    SpanAttributes['gen_ai.request.model'] AS model,
    SpanAttributes['user.id'] AS user_id,
    SpanAttributes['session.id'] AS session_id,
    SpanAttributes['tracetoll.feature'] AS feature,
    SpanAttributes['tracetoll.team'] AS team,
    SpanAttributes['tracetoll.tenant'] AS tenant,
    SpanAttributes['gen_ai.agent.name'] AS agent,
    SpanAttributes['gen_ai.prompt.name'] AS prompt,
    SpanAttributes['gen_ai.prompt.version'] AS prompt_version,
    toInt64(SpanAttributes['gen_ai.usage.input_tokens']) AS input_tokens,
    toInt64OrZero(SpanAttributes['gen_ai.usage.output_tokens']) AS output_tokens,
    toInt64OrZero(SpanAttributes['gen_ai.usage.cache_read.input_tokens']) AS cached_tokens,
    toFloat64OrNull(SpanAttributes['tracetoll.cost.amount']) AS cost_usd
FROM otel_traces
WHERE mapContains(SpanAttributes, 'gen_ai.usage.input_tokens')
LIMIT 1 BY TraceId, SpanId;

-- One row for each task: the root of a trace, or of a process's part of it, with what everything below came to.
CREATE VIEW IF NOT EXISTS tasks AS
SELECT
    TraceId AS trace_id, ServiceName AS service, SpanName AS name, toDate(Timestamp) AS day, Duration / 1e9 AS seconds,
    StatusCode = 'Error' AS failed,
    SpanAttributes['gen_ai.agent.name'] AS agent,
    toInt64(SpanAttributes['tracetoll.rollup.total_tokens']) AS tokens,
    toInt64OrZero(SpanAttributes['tracetoll.rollup.inference_call.count']) AS calls,
    toInt64OrZero(SpanAttributes['tracetoll.rollup.refused.count']) AS refused,
    toFloat64OrNull(SpanAttributes['tracetoll.rollup.cost.amount']) AS cost_usd
FROM otel_traces
WHERE SpanAttributes['tracetoll.rollup.scope'] IN ('trace', 'process') AND mapContains(SpanAttributes, 'tracetoll.rollup.total_tokens')
LIMIT 1 BY TraceId, SpanId;

-- One row for each judgement: upstream's event gen_ai.evaluation.result, whoever writes it.
CREATE VIEW IF NOT EXISTS evaluations AS
SELECT
    TraceId AS trace_id,
    LogAttributes['gen_ai.evaluation.name'] AS evaluation,
    LogAttributes['gen_ai.evaluation.score.label'] AS label
FROM otel_logs
WHERE EventName = 'gen_ai.evaluation.result';

-- For years of history: what each day came to, kept when spans are gone. Filled as spans come in; ask it with sum().
CREATE TABLE IF NOT EXISTS spend_by_day (
    day Date, service LowCardinality(String), provider LowCardinality(String), model LowCardinality(String),
    feature LowCardinality(String), team LowCardinality(String), tenant LowCardinality(String), user_id String,
    calls UInt64, input_tokens UInt64, output_tokens UInt64, cost_usd Float64
) ENGINE = SummingMergeTree
PARTITION BY toYYYYMM(day)
ORDER BY (day, service, provider, model, feature, team, tenant, user_id);

CREATE MATERIALIZED VIEW IF NOT EXISTS spend_by_day_filled TO spend_by_day AS
SELECT
    toDate(Timestamp) AS day, ServiceName AS service,
    SpanAttributes['gen_ai.provider.name'] AS provider,
    SpanAttributes['gen_ai.request.model'] AS model,
    SpanAttributes['tracetoll.feature'] AS feature,
    SpanAttributes['tracetoll.team'] AS team,
    SpanAttributes['tracetoll.tenant'] AS tenant,
    SpanAttributes['user.id'] AS user_id,
    count() AS calls,
    sum(toUInt64(SpanAttributes['gen_ai.usage.input_tokens'])) AS input_tokens,
    sum(toUInt64OrZero(SpanAttributes['gen_ai.usage.output_tokens'])) AS output_tokens,
    sum(toFloat64OrZero(SpanAttributes['tracetoll.cost.amount'])) AS cost_usd
FROM otel_traces
WHERE mapContains(SpanAttributes, 'gen_ai.usage.input_tokens')
GROUP BY day, service, provider, model, feature, team, tenant, user_id;
