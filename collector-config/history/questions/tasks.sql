-- What a task of each agent comes to, on average and at its most expensive, and how often a limit stopped one.
SELECT
    service, agent, count(*) AS tasks, round(sum(calls) / count(*), 2) AS calls_per_task, round(sum(tokens) / count(*), 1) AS tokens_per_task,
    round(sum(cost_usd) / count(*), 6) AS usd_per_task, max(tokens) AS most_tokens, sum(CASE WHEN refused > 0 THEN 1 ELSE 0 END) AS stopped
FROM tasks
GROUP BY service, agent
ORDER BY service, agent;
