-- In which ways an SLO was counted, and when
SELECT revision, min(slice_start) AS first_at, max(slice_start) + INTERVAL 1 HOUR AS last_at
FROM slo_counts_1h
WHERE slo = {slo:String} AND ({instance:String} = '' OR instance = {instance:String})
GROUP BY revision
ORDER BY first_at DESC
LIMIT 100
