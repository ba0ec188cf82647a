-- What the deploy gate looks at: every SLO instance of a service, or of all when none is named, now; a composite is about
-- several services
SELECT c.service AS service, c.slo AS slo, c.instance AS instance, c.state = 'FROZEN' AS is_frozen,
       c.coverage_ratio AS coverage_ratio, b.budget_remaining_ratio AS budget_remaining_ratio,
       w.shortest.1 AS burn_window_s, w.shortest.2 AS burn_rate, w.shortest.3 AS burn_coverage_ratio,
       a.severities AS severities
FROM compliance AS c
INNER JOIN error_budget AS b ON c.slo = b.slo AND c.instance = b.instance
LEFT JOIN (
    SELECT slo, instance, argMin((toNullable(window_s), burn_rate, toNullable(coverage_ratio)), window_s) AS shortest
    FROM burn_rate GROUP BY slo, instance
) AS w ON c.slo = w.slo AND c.instance = w.instance
LEFT JOIN (
    SELECT slo, instance, groupUniqArray(toString(current_severity)) AS severities
    FROM alert_log WHERE resolved_at IS NULL GROUP BY slo, instance
) AS a ON c.slo = a.slo AND c.instance = a.instance
WHERE {service:String} = '' OR has(splitByChar(',', c.service), {service:String})
ORDER BY slo, instance
