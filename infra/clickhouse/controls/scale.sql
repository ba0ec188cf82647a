-- What was served of each model and variant: requests a second by 10 s, the newest first, up to what is known; of all that
-- had traffic within a day. Without what no replica would have got: quotas and bad requests.
WITH
    (SELECT tuple(known_at, age_s) FROM known_until) AS known,
    toStartOfInterval(ifNull(known.1, now64(6, 'UTC')), toIntervalSecond(10), 'UTC') AS until,
    toUInt32(greatest({calm_s:Float64}, 300.) / 10) AS cells
SELECT
    d.service AS service, d.model AS model, d.variant AS variant, d.vantage AS vantage, d.requests AS day_requests,
    until AS known_at, known.2 AS age_s, arrayMap(cell -> l.loads[cell] / 10, range(cells)) AS loads
FROM (
    SELECT service, toString(request_model) AS model, toString(variant) AS variant, toString(vantage) AS vantage,
           sum(requests - rate_limited - rejected) AS requests
    FROM sli_1h
    WHERE slice_start > until - toIntervalHour(25) AND slice_start < until
    GROUP BY service, model, variant, vantage
) AS d
LEFT JOIN (
    SELECT service, model, variant, vantage, sumMap(map(cell, requests)) AS loads
    FROM (
        SELECT service, toString(request_model) AS model, toString(variant) AS variant, toString(vantage) AS vantage,
               toUInt32(intDiv(dateDiff('second', slice_start, until), 10) - 1) AS cell,
               toFloat64(sum(requests - rate_limited - rejected)) AS requests
        FROM sli
        WHERE slice_start >= until - toIntervalSecond(cells * 10) AND slice_start < until
        GROUP BY service, model, variant, vantage, cell
    )
    GROUP BY service, model, variant, vantage
) AS l ON l.service = d.service AND l.model = d.model AND l.variant = d.variant AND l.vantage = d.vantage
WHERE d.requests > 0
ORDER BY service, model, variant, vantage
LIMIT 100000
