-- What burns its budget faster than it may, in any window of its alert rules?
-- factor = 1: from this burn rate on
SELECT
    slo,
    instance,
    window_s,
    good,
    bad,
    burn_rate,
    coverage_ratio
FROM burn_rate
WHERE burn_rate >= {factor:Float64}
ORDER BY burn_rate DESC, slo, instance, window_s
LIMIT 100
