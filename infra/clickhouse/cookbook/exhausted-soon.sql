-- Which budgets are gone within days, if they go on burning as now?
-- days = 3: within this many
SELECT
    slo,
    instance,
    budget_remaining_ratio,
    round(time_to_exhaustion_s / 3600, 1) AS hours_left,
    exhaustion_burn_rate AS at_burn_rate
FROM error_budget
WHERE time_to_exhaustion_s <= {days:UInt32} * 86400
ORDER BY time_to_exhaustion_s, slo, instance
