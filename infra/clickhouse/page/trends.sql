-- Good and bad of some SLO instances, in cells of five minutes of the last three hours
WITH toStartOfFiveMinutes(fromUnixTimestamp({until:Int64})) AS until
SELECT slo, instance, argMax(cells, last) AS cells
FROM (
    SELECT slo, instance, revision, max(slice_start) AS last,
           sumMap([36 - intDiv(dateDiff('second', slice_start, until) + 299, 300)], [good], [bad]) AS cells
    FROM slo_counts_1m
    WHERE (slo, instance) IN (
        SELECT z.1, z.2 FROM (SELECT arrayJoin(arrayZip({slos:Array(String)}, {instances:Array(String)})) AS z)
    )
      AND slice_start >= until - INTERVAL 3 HOUR AND slice_start < until
    GROUP BY slo, instance, revision
)
GROUP BY slo, instance
