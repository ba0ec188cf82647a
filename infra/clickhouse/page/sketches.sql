-- Requests that an SLO instance is about: a row is a column of a heat map, with its sketch as ClickHouse's own state, as
-- hexadecimal; and, as arrays, the steps within it, how many requests each had, and percentiles
SELECT intDiv(step_at, {column:Int64}) * {column:Int64} AS at, groupArray(step_at) AS steps,
       groupArray(step_requests) AS requests, groupArray(finalizeAggregation(step_state)) AS quantiles_us,
       hex(quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(step_state)) AS state
FROM (
    SELECT intDiv(toUnixTimestamp(slice_start), {step:Int64}) * {step:Int64} AS step_at, sum(requests) AS step_requests,
           quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(${metric}_state) AS step_state
    FROM $view
    WHERE service = {service:String}
      AND slice_start >= fromUnixTimestamp({since:Int64}) AND slice_start < fromUnixTimestamp({until:Int64})
      AND (empty({request_model:Array(String)}) OR request_model IN {request_model:Array(String)})
      AND (empty({tenant_id:Array(String)}) OR tenant_id IN {tenant_id:Array(String)})
      AND (empty({region:Array(String)}) OR region IN {region:Array(String)})
      AND (empty({operation:Array(String)}) OR operation IN {operation:Array(String)})
      AND (empty({priority_class:Array(String)}) OR priority_class IN {priority_class:Array(String)})
      AND (empty({variant:Array(String)}) OR variant IN {variant:Array(String)})
      AND (empty({vantage:Array(String)}) OR vantage IN {vantage:Array(String)})
    GROUP BY step_at
)
GROUP BY at
ORDER BY at
