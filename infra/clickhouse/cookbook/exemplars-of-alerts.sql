-- Which requests did the alerts of an SLO name, and what became of them?
-- slo = : name of the SLO
-- hours = 24: how far back
SELECT
    e.counted_at AS counted_at,
    n.alert AS alert,
    n.alert_severity AS severity,
    e.trace_id AS trace_id,
    e.request_id AS request_id,
    e.request_model AS request_model,
    e.tenant_id AS tenant_id,
    e.endpoint_id AS endpoint_id,
    e.outcome AS outcome,
    e.http_status AS http_status,
    e.error_type AS error_type,
    round(e.e2e_us / 1000, 1) AS e2e_ms,
    round(e.ttft_us / 1000, 1) AS ttft_ms
FROM events AS e
INNER JOIN (
    SELECT arrayJoin(exemplar_trace_ids) AS trace, argMax(dedup_key, window_end) AS alert, argMax(severity, window_end) AS alert_severity
    FROM alerts
    WHERE slo = {slo:String} AND window_end >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
    GROUP BY trace
) AS n ON e.trace_id = n.trace
WHERE e.counted_at >= now64(6, 'UTC') - toIntervalHour({hours:UInt32} + 1) AND e.trace_id IN (
    SELECT arrayJoin(exemplar_trace_ids)
    FROM alerts
    WHERE slo = {slo:String} AND window_end >= now64(6, 'UTC') - toIntervalHour({hours:UInt32})
)
ORDER BY counted_at DESC, trace_id
LIMIT 50
