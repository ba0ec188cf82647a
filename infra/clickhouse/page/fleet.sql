-- Every SLO instance, now
SELECT c.slo AS slo, c.instance AS instance, c.labels AS labels, c.service AS service, c.revision AS revision,
       c.target AS target, c.window_start AS window_start, c.window_end AS window_end, c.judged_at AS judged_at,
       c.good AS good, c.bad AS bad, c.excluded AS excluded, c.compliance_ratio AS compliance_ratio,
       c.coverage_ratio AS coverage_ratio, c.state AS state, c.severity AS severity,
       b.budget_remaining_ratio AS budget_remaining_ratio, b.budget_minutes AS budget_minutes,
       b.time_to_exhaustion_s AS time_to_exhaustion_s, b.exhaustion_burn_rate AS exhaustion_burn_rate,
       b.sla_target AS sla_target, b.sla_budget_remaining_ratio AS sla_budget_remaining_ratio,
       w.windows AS windows, l.late AS late
FROM compliance AS c
INNER JOIN error_budget AS b ON c.slo = b.slo AND c.instance = b.instance
LEFT JOIN (
    SELECT slo, instance, arraySort(groupArray((window_s, burn_rate, coverage_ratio))) AS windows
    FROM burn_rate GROUP BY slo, instance
) AS w ON c.slo = w.slo AND c.instance = w.instance
LEFT JOIN late_events AS l ON c.slo = l.slo AND c.instance = l.instance
