-- Alerts that are open
SELECT slo, instance, dedup_key, kind, severity, fired_at, acknowledged_by
FROM alert_log WHERE resolved_at IS NULL
ORDER BY fired_at DESC LIMIT 10000
