-- What a session of each user came to: calls, tokens and dollars.
SELECT
    user_id, session_id, count(*) AS calls, sum(input_tokens) + sum(output_tokens) AS tokens, round(sum(cost_usd), 6) AS usd
FROM calls
WHERE session_id <> ''
GROUP BY user_id, session_id
ORDER BY usd DESC, session_id;
