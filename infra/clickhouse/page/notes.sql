-- What people wrote about alerts of one SLO
SELECT dedup_key, written_at, what, who, text
FROM alert_notes
WHERE slo = {slo:String}
  AND written_at >= fromUnixTimestamp({since:Int64}) AND written_at < fromUnixTimestamp({until:Int64})
ORDER BY written_at DESC
LIMIT 200
