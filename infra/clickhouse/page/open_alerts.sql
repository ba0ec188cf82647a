-- Alerts that are open, as severe as they are now
SELECT slo, instance, dedup_key, kind, current_severity AS severity, fired_at, acknowledged_by
FROM alert_log WHERE resolved_at IS NULL
ORDER BY fired_at DESC LIMIT 10000
