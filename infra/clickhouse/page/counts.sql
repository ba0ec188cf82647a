-- What was counted of one SLO instance, in steps
SELECT intDiv(toUnixTimestamp(slice_start), {step:Int64}) * {step:Int64} AS at,
       sum(good) AS good, sum(bad) AS bad, sum(excluded) AS excluded
FROM $view
WHERE slo = {slo:String} AND instance = {instance:String}
  AND revision = if({revision:String} != '', {revision:String}, (
      SELECT argMax(revision, slice_start) FROM slo_counts_1h WHERE slo = {slo:String} AND instance = {instance:String}
  ))
  AND slice_start >= fromUnixTimestamp({since:Int64}) AND slice_start < fromUnixTimestamp({until:Int64})
GROUP BY at
ORDER BY at
