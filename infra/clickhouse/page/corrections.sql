-- Ranges of time that corrections leave out of one SLO instance
SELECT r.correction AS correction, r.range_start AS range_start, r.range_end AS range_end, c.reason AS reason, c.who AS who
FROM correction_ranges AS r
INNER JOIN corrections AS c ON r.correction = c.correction
WHERE c.is_in_force
  AND r.correction IN (
      SELECT arrayJoin(corrections) FROM compliance_corrected WHERE slo = {slo:String} AND instance = {instance:String}
  )
  AND r.range_start < fromUnixTimestamp({until:Int64}) AND r.range_end > fromUnixTimestamp({since:Int64})
ORDER BY r.range_start DESC
LIMIT 200
