-- How calls of each model are spread: tokens, seconds and dollars at 50, 95 and 99 %.
SELECT
    model, count(*) AS calls, p50(input_tokens) AS input_p50, p95(input_tokens) AS input_p95, p99(input_tokens) AS input_p99,
    p99(output_tokens) AS output_p99, round(p99(seconds), 6) AS seconds_p99, round(p99(cost_usd), 6) AS usd_p99
FROM calls
GROUP BY model
ORDER BY model;
