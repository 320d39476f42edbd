-- Tokens and dollars of each model, per day, and how much of the input came from a cache.
SELECT
    day, provider, model, count(*) AS calls, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out,
    round(sum(cached_tokens) / sum(input_tokens), 4) AS from_cache, round(sum(cost_usd), 6) AS usd,
    sum(CASE WHEN cost_usd IS NULL THEN 1 ELSE 0 END) AS unpriced
FROM calls
GROUP BY day, provider, model
ORDER BY day, provider, model;
