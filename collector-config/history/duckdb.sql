-- The collector's files as tables, for DuckDB on a laptop: spans, calls, tasks, evaluations. Run it where traces.jsonl and
-- logs.jsonl are (rotated ones too: traces*.jsonl), then any file in questions/:
--   duckdb -c ".read duckdb.sql" -c ".read questions/by-user.sql"
-- A span that came twice, after a collector was restarted, is there once.

CREATE OR REPLACE MACRO p50(x) AS quantile_disc(x, 0.5);
CREATE OR REPLACE MACRO p95(x) AS quantile_disc(x, 0.95);
CREATE OR REPLACE MACRO p99(x) AS quantile_disc(x, 0.99);

CREATE OR REPLACE MACRO as_map(attributes) AS map_from_entries(list_transform(attributes, lambda one: struct_pack(
    k := one."key",
    v := coalesce(one."value".stringValue, one."value".intValue, CAST(one."value".doubleValue AS VARCHAR), CAST(one."value".boolValue AS VARCHAR))
)));

CREATE OR REPLACE TABLE spans AS
WITH resources AS (
    SELECT unnest(resourceSpans) AS r
    FROM read_json('traces*.jsonl', format = 'newline_delimited', maximum_object_size = 67108864, columns = {
        resourceSpans: 'STRUCT(
            resource STRUCT(attributes STRUCT("key" VARCHAR, "value" STRUCT(stringValue VARCHAR, intValue VARCHAR, doubleValue DOUBLE, boolValue BOOLEAN))[]),
            scopeSpans STRUCT(
                scope STRUCT(name VARCHAR),
                spans STRUCT(
                    traceId VARCHAR, spanId VARCHAR, parentSpanId VARCHAR, name VARCHAR, startTimeUnixNano VARCHAR, endTimeUnixNano VARCHAR,
                    status STRUCT(code INTEGER),
                    attributes STRUCT("key" VARCHAR, "value" STRUCT(stringValue VARCHAR, intValue VARCHAR, doubleValue DOUBLE, boolValue BOOLEAN))[]
                )[]
            )[]
        )[]'
    })
),
scopes AS (SELECT as_map(r.resource.attributes) AS resource, unnest(r.scopeSpans) AS s FROM resources),
each AS (SELECT resource, s.scope.name AS scope, unnest(s.spans) AS span FROM scopes)
SELECT
    span.traceId AS trace_id,
    span.spanId AS span_id,
    coalesce(span.parentSpanId, '') AS parent_id,
    coalesce(resource['service.name'], '') AS service,
    coalesce(scope, '') AS scope,
    span.name AS name,
    make_timestamp_ns(CAST(span.startTimeUnixNano AS BIGINT)) AS started,
    (CAST(span.endTimeUnixNano AS BIGINT) - CAST(span.startTimeUnixNano AS BIGINT)) / 1e9 AS seconds,
    coalesce(span.status.code, 0) = 2 AS failed,
    as_map(coalesce(span.attributes, [])) AS a
FROM each
QUALIFY row_number() OVER (PARTITION BY trace_id, span_id) = 1;

-- One row for each call of a model that told its usage.
CREATE OR REPLACE VIEW calls AS
SELECT
    trace_id, span_id, service, CAST(started AS DATE) AS day, started, seconds, failed,
    coalesce(a['gen_ai.provider.name'], '') AS provider,
    coalesce(a['gen_ai.request.model'], '') AS model,
    coalesce(a['user.id'], '') AS user_id,
    coalesce(a['session.id'], '') AS session_id,
    coalesce(a['tracetoll.feature'], '') AS feature,
    coalesce(a['tracetoll.team'], '') AS team,
    coalesce(a['tracetoll.tenant'], '') AS tenant,
    coalesce(a['gen_ai.agent.name'], '') AS agent,
    coalesce(a['gen_ai.prompt.name'], '') AS prompt,
    coalesce(a['gen_ai.prompt.version'], '') AS prompt_version,
    CAST(a['gen_ai.usage.input_tokens'] AS BIGINT) AS input_tokens,
    coalesce(CAST(a['gen_ai.usage.output_tokens'] AS BIGINT), 0) AS output_tokens,
    coalesce(CAST(a['gen_ai.usage.cache_read.input_tokens'] AS BIGINT), 0) AS cached_tokens,
    CAST(a['tracetoll.cost.amount'] AS DOUBLE) AS cost_usd
FROM spans
WHERE a['gen_ai.usage.input_tokens'] IS NOT NULL;

-- One row for each task: the root of a trace, or of a process's part of it, with what everything below came to.
CREATE OR REPLACE VIEW tasks AS
SELECT
    trace_id, service, name, CAST(started AS DATE) AS day, seconds, failed,
    coalesce(a['gen_ai.agent.name'], '') AS agent,
    CAST(a['tracetoll.rollup.total_tokens'] AS BIGINT) AS tokens,
    coalesce(CAST(a['tracetoll.rollup.inference_call.count'] AS BIGINT), 0) AS calls,
    coalesce(CAST(a['tracetoll.rollup.refused.count'] AS BIGINT), 0) AS refused,
    CAST(a['tracetoll.rollup.cost.amount'] AS DOUBLE) AS cost_usd
FROM spans
WHERE a['tracetoll.rollup.scope'] IN ('trace', 'process') AND a['tracetoll.rollup.total_tokens'] IS NOT NULL;

-- One row for each judgement: upstream's event gen_ai.evaluation.result, whoever writes it.
CREATE OR REPLACE VIEW evaluations AS
WITH resources AS (
    SELECT unnest(resourceLogs) AS r
    FROM read_json('logs*.jsonl', format = 'newline_delimited', maximum_object_size = 67108864, columns = {
        resourceLogs: 'STRUCT(scopeLogs STRUCT(logRecords STRUCT(
            traceId VARCHAR, eventName VARCHAR,
            attributes STRUCT("key" VARCHAR, "value" STRUCT(stringValue VARCHAR, intValue VARCHAR, doubleValue DOUBLE, boolValue BOOLEAN))[]
        )[])[])[]'
    })
),
scopes AS (SELECT unnest(r.scopeLogs) AS s FROM resources),
each AS (SELECT unnest(s.logRecords) AS record FROM scopes),
judged AS (SELECT record.traceId AS trace_id, as_map(coalesce(record.attributes, [])) AS a FROM each WHERE record.eventName = 'gen_ai.evaluation.result')
SELECT trace_id, coalesce(a['gen_ai.evaluation.name'], '') AS evaluation, coalesce(a['gen_ai.evaluation.score.label'], '') AS label FROM judged;
