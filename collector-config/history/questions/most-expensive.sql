-- The traces that cost most; Jaeger shows them by their id.
SELECT trace_id, service, name, calls, tokens, round(cost_usd, 6) AS usd
FROM tasks
ORDER BY usd DESC, trace_id
LIMIT 20;
