-- Tokens and dollars of each team and feature, per day.
SELECT day, team, feature, count(*) AS calls, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out, round(sum(cost_usd), 6) AS usd
FROM calls
GROUP BY day, team, feature
ORDER BY day, usd DESC, team, feature;
