-- What an alert said, event by event
SELECT sequence, event, severity, window_end AS at, evaluated_at, burn_rate_factor, long_window_s, short_window_s,
       long_good, long_bad, short_good, short_bad, long_burn_rate, short_burn_rate, budget_remaining_ratio,
       time_to_exhaustion_s, exemplar_trace_ids, reason
FROM alerts
WHERE slo IN {slos:Array(String)} AND dedup_key = {dedup_key:String}
  AND toUnixTimestamp64Micro(started_at) = {fired_us:Int64}
ORDER BY sequence
LIMIT 1000
