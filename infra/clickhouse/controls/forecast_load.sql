-- What forecasts are made of: requests, output tokens and cost of every service and model, by step and vantage. Requests are
-- counted as the control of scaling counts what it compares with them: without what no replica would have got, quotas and
-- bad requests
SELECT n.service AS service, n.model AS model, n.vantage AS vantage, sum(n.requests) AS total,
       groupArray(n.step) AS steps, groupArray(n.requests) AS requests, groupArray(n.tokens) AS tokens,
       groupArray(n.cost) AS cost
FROM (
    SELECT service, request_model AS model, vantage, intDiv(toUnixTimestamp(slice_start), {step_s:UInt32}) AS step,
           sum(s.requests - s.rate_limited - s.rejected) AS requests, sum(s.output_tokens) AS tokens, sum(s.cost_picousd) AS cost
    FROM {tier:Identifier} AS s
    WHERE slice_start >= fromUnixTimestamp({start_s:Int64}) AND slice_start < fromUnixTimestamp({end_s:Int64})
    GROUP BY service, model, vantage, step
) AS n
GROUP BY service, model, vantage
ORDER BY total DESC, service, model, vantage
