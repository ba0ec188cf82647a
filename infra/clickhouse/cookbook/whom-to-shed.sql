-- How does each class of service fare, and what is shed of it?
SELECT
    service,
    model,
    class,
    slo,
    burn_rate,
    window_compliance_ratio,
    compliance_ratio,
    with_shed_ratio,
    shed_ratio,
    shed_share,
    is_expired
FROM class_compliance
ORDER BY service, model, transform(class, ['CRITICAL', 'HIGH_FAST', 'HIGH_SLOW', 'LOW', 'NO_SLO'], [0, 1, 2, 3, 4], 5)
