-- One alert
SELECT slo, instance, service, dedup_key, kind, fired_at, resolved_at, severity, peak_burn_rate, detection_delay_ms, events,
       reason, exemplar_trace_ids, runbook, corrections, acknowledged_at, acknowledged_by, notes,
       toUnixTimestamp64Micro(fired_at) AS fired_us
FROM alert_log
WHERE slo IN {slos:Array(String)} AND dedup_key = {dedup_key:String}
  AND ({fired_us:Int64} = 0 OR toUnixTimestamp64Micro(fired_at) = {fired_us:Int64})
ORDER BY fired_at DESC
LIMIT 1
