-- Traces of bad requests that alerts of one SLO instance carried
SELECT arrayJoin(exemplar_trace_ids) AS trace_id, window_end AS at, dedup_key, severity, short_window_s AS window_s
FROM alerts
WHERE slo = {slo:String} AND instance = {instance:String}
  AND window_end >= fromUnixTimestamp({since:Int64}) AND window_end < fromUnixTimestamp({until:Int64})
ORDER BY at DESC
LIMIT 500
