-- Tokens and dollars of each user, per day.
SELECT day, user_id, count(*) AS calls, sum(input_tokens) AS tokens_in, sum(output_tokens) AS tokens_out, round(sum(cost_usd), 6) AS usd
FROM calls
GROUP BY day, user_id
ORDER BY day, usd DESC, user_id;
