-- What difference do corrections make: compliance with and without them?
SELECT
    slo,
    instance,
    compliance_ratio,
    uncorrected_compliance_ratio,
    corrected_minutes,
    corrections
FROM compliance_corrected
WHERE notEmpty(corrections)
ORDER BY ifNull(compliance_ratio - uncorrected_compliance_ratio, 0) DESC, slo, instance
