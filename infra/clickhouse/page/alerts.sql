-- Alerts that fired before the end of a time and were open in it, those that are open now first
SELECT slo, instance, service, dedup_key, kind, fired_at, resolved_at, severity, peak_burn_rate, detection_delay_ms, events,
       reason, exemplar_trace_ids, runbook, corrections, acknowledged_at, acknowledged_by, notes,
       toUnixTimestamp64Micro(fired_at) AS fired_us
FROM alert_log
WHERE ({slo:String} = '' OR slo = {slo:String})
  AND ({service:String} = '' OR service = {service:String})
  AND ({any_instance:Int64} = 1 OR instance = {instance:String})
  AND ({severity:String} = '' OR severity = {severity:String})
  AND ({kind:String} = '' OR kind = {kind:String})
  AND ({state:String} = 'all' OR ({state:String} = 'open') = isNull(resolved_at))
  AND fired_at < fromUnixTimestamp({until:Int64})
  AND (isNull(resolved_at) OR resolved_at >= fromUnixTimestamp({since:Int64}))
  AND ({is_first:Int64} = 1 OR (isNotNull(resolved_at), -toUnixTimestamp64Micro(fired_at), dedup_key)
      > ({after_resolved:Int64}, {after_fired:Int64}, {after_key:String}))
ORDER BY isNotNull(resolved_at), fired_at DESC, dedup_key
LIMIT {most:Int64}
