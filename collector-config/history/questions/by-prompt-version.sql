-- What a call costs with each version of a prompt: did the last change make it longer?
SELECT
    prompt, prompt_version, count(*) AS calls, round(sum(input_tokens) / count(*), 1) AS input_per_call,
    round(sum(output_tokens) / count(*), 1) AS output_per_call, round(sum(cost_usd) / count(*), 6) AS usd_per_call
FROM calls
WHERE prompt <> ''
GROUP BY prompt, prompt_version
ORDER BY prompt, prompt_version;
