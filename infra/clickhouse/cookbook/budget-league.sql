-- Whose error budget is most spent?
SELECT
    b.slo AS slo,
    b.instance AS instance,
    c.service AS service,
    b.target AS target,
    c.compliance_ratio AS compliance_ratio,
    b.budget_remaining_ratio AS budget_remaining_ratio,
    b.budget_events AS budget_events,
    b.bad AS bad
FROM error_budget AS b
INNER JOIN compliance AS c ON b.slo = c.slo AND b.instance = c.instance
WHERE b.budget_remaining_ratio IS NOT NULL
ORDER BY budget_remaining_ratio, slo, instance
LIMIT 50
