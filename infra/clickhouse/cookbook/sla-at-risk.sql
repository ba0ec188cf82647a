-- Which contracts are in danger: the SLA's own budget, beside the SLO's?
SELECT
    slo,
    instance,
    sla_target,
    sla_budget_remaining_ratio,
    target AS slo_target,
    budget_remaining_ratio AS slo_budget_remaining_ratio
FROM error_budget
WHERE sla_target IS NOT NULL
ORDER BY sla_budget_remaining_ratio NULLS LAST, slo, instance
