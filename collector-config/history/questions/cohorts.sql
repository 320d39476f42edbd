-- What tasks cost that were judged well, against those that were not: dollars for each that passed is what quality costs.
SELECT
    e.evaluation AS evaluation, e.label AS label, count(*) AS tasks, round(sum(t.tokens) / count(*), 1) AS tokens_per_task,
    round(sum(t.cost_usd) / count(*), 6) AS usd_per_task
FROM tasks AS t
INNER JOIN evaluations AS e ON e.trace_id = t.trace_id
GROUP BY e.evaluation, e.label
ORDER BY evaluation, label;
