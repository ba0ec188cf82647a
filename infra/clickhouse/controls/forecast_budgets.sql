-- SLO instances that count requests, those that have spent most of their budgets first, with good and bad of each hour
SELECT b.slo AS slo, b.instance AS instance, b.service AS service, b.target AS target,
       b.window_start_s AS window_start_s, b.window_end_s AS window_end_s, b.window_s AS window_s,
       b.remaining_ratio AS remaining_ratio, groupArray(c.hour) AS steps, groupArray(c.good) AS good, groupArray(c.bad) AS bad
FROM (
    SELECT e.slo AS slo, e.instance AS instance, k.service AS service, e.target AS target,
           toUnixTimestamp(e.window_start) AS window_start_s, toUnixTimestamp(e.window_end) AS window_end_s,
           toInt64(round(e.budget_minutes * 60 / (1 - e.target))) AS window_s, e.budget_remaining_ratio AS remaining_ratio
    FROM error_budget AS e
    INNER JOIN compliance AS k ON e.slo = k.slo AND e.instance = k.instance
    WHERE k.counts = 'REQUESTS' AND e.budget_remaining_ratio IS NOT NULL AND ({service:String} = '' OR k.service = {service:String})
    ORDER BY remaining_ratio, slo, instance LIMIT {most:UInt32}
) AS b
INNER JOIN (
    SELECT slo, instance, intDiv(toUnixTimestamp(slice_start), 3600) AS hour, sum(good) AS good, sum(bad) AS bad
    FROM slo_counts_1h
    WHERE slice_start >= fromUnixTimestamp({start_s:Int64}) AND slice_start < fromUnixTimestamp({end_s:Int64})
      AND (slo, revision) IN (
          SELECT slo, argMax(revision, slice_start) FROM slo_counts_1h
          WHERE slice_start >= fromUnixTimestamp({start_s:Int64}) GROUP BY slo
      )
    GROUP BY slo, instance, hour
) AS c ON b.slo = c.slo AND b.instance = c.instance
GROUP BY slo, instance, service, target, window_start_s, window_end_s, window_s, remaining_ratio
ORDER BY remaining_ratio, slo, instance
