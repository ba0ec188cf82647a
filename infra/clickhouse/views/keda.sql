-- What autoscalers ask: one number of a service and a model, as KEDA's ClickHouse trigger wants it, always in one row:
--
--     SELECT value FROM keda_concurrency(service='chat', model='llama-70b')
--
-- `age_s` says how far what is known ends behind now; past 60 s it is stale. What is stale is never scaled in on: its value
-- is the greatest of the last day that is known. A service without traffic is known to have none while its sources are read
-- to their end: its value is 0 and fresh. Values are of the sixty seconds that end with what is known. Where several
-- vantages measure, the one that reports most counts. Burn rates are known as far as anything was judged: an instance of
-- which nothing changes has no new status.

CREATE OR REPLACE VIEW known_until (
    known_at Nullable(DateTime64(6, 'UTC')) COMMENT 'every source partition is known up to here, in all that is stored of it: to its greatest event time, or to the last look when it is read to its end and silent; null: nothing is known',
    age_s Float64 COMMENT 'seconds from then to now; 1e9: nothing is known'
) AS
SELECT
    minOrNull(if(p.idle_us > 0, p.read_at, p.event_time_max)) AS known_at,
    greatest(ifNull(dateDiff('microsecond', known_at, now64(6, 'UTC')) / 1e6, 1e9), 0.) AS age_s
FROM (
    SELECT
        max(m.event_time_max) AS event_time_max,
        max(m.flushed_at) AS read_at,
        argMax(m.idle_us, m.flushed_at) AS idle_us,
        max(read_at) OVER (PARTITION BY m.topic, m.source_topic) AS topic_read_at,
        max(read_at) OVER () AS last_read_at
    FROM marks AS m FINAL
    WHERE m.source_topic != ''
    GROUP BY m.topic, m.partition, m.source_topic, m.source_partition
) AS p
WHERE p.topic_read_at >= p.last_read_at - toIntervalHour(1)
COMMENT 'How far the stored numbers go, in one row; topics that were given up, an hour before another was read last, are left out';

CREATE OR REPLACE VIEW keda_throughput AS
WITH
    (SELECT tuple(known_at, age_s) FROM known_until) AS known,
    toStartOfInterval(ifNull(known.1, now64(6, 'UTC')), toIntervalSecond(10), 'UTC') AS until,
    known.2 > 60 AS is_stale
SELECT
    toFloat64(ifNull(max(n.requests) / 60, 0)) AS value,
    toFloat64(ifNull(known.2, 1e9)) AS age_s
FROM (
    SELECT sum(s.success + s.error + s.timeout + s.cancelled + s.shed + s.rate_limited + s.rejected + s.unknown) AS requests
    FROM slices_10s AS s
    WHERE NOT is_stale AND s.service = {service:String} AND s.request_model = {model:String}
        AND s.slice_start >= until - toIntervalSecond(60) AND s.slice_start < until
    GROUP BY s.vantage
    UNION ALL
    SELECT sum(s.success + s.error + s.timeout + s.cancelled + s.shed + s.rate_limited + s.rejected + s.unknown) AS requests
    FROM slices_1m AS s
    WHERE is_stale AND s.service = {service:String} AND s.request_model = {model:String} AND s.slice_start > until - toIntervalDay(1)
    GROUP BY s.vantage, s.slice_start
) AS n
COMMENT 'value: requests per second of a service and a model; when age_s is past 60, stale, the most of any minute of the last day that is known. One row, always';

CREATE OR REPLACE VIEW keda_concurrency AS
WITH
    (SELECT tuple(known_at, age_s) FROM known_until) AS known,
    toStartOfInterval(ifNull(known.1, now64(6, 'UTC')), toIntervalSecond(10), 'UTC') AS until,
    known.2 > 60 AS is_stale
SELECT
    toFloat64(ifNull(max(n.served / 60 * arrayAvg(arrayMap(us -> if(isNaN(us), 0, us), finalizeAggregation(CAST(
        CAST(n.e2e, 'String'),
        'AggregateFunction(quantilesDD(0.01, 0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95), Float64)'
    )))) / 1e6), 0)) AS value,
    toFloat64(ifNull(known.2, 1e9)) AS age_s
FROM (
    SELECT sum(s.success + s.error + s.timeout + s.cancelled) AS served, quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(s.e2e_state) AS e2e
    FROM slices_10s AS s
    WHERE NOT is_stale AND s.service = {service:String} AND s.request_model = {model:String}
        AND s.slice_start >= until - toIntervalSecond(60) AND s.slice_start < until
    GROUP BY s.vantage
    UNION ALL
    SELECT sum(s.success + s.error + s.timeout + s.cancelled) AS served, quantilesDDMergeState(0.01, 0.5, 0.95, 0.99)(s.e2e_state) AS e2e
    FROM slices_1m AS s
    WHERE is_stale AND s.service = {service:String} AND s.request_model = {model:String} AND s.slice_start > until - toIntervalDay(1)
    GROUP BY s.vantage, s.slice_start
) AS n
COMMENT 'value: requests of a service and a model in flight, by Little''s law: served per second x mean duration, which is that of the ten deciles'' middles; when age_s is past 60, stale, the most of any minute of the last day that is known. One row, always';

CREATE OR REPLACE VIEW keda_queue_delay AS
WITH
    (SELECT tuple(known_at, age_s) FROM known_until) AS known,
    ifNull(known.1, now64(6, 'UTC')) AS until,
    known.2 > 60 AS is_stale,
    (
        SELECT count() FROM slices_10s AS s
        WHERE s.service = {service:String} AND s.request_model = {model:String}
            AND s.slice_start >= until - toIntervalSecond(60) AND s.slice_start < until
    ) AS slices
SELECT
    toFloat64(ifNull(if(
        is_stale OR (slices > 0 AND countIf(n.is_now) = 0),
        max(n.delay_us),
        maxIf(n.delay_us, n.is_now)
    ), 0) / 1e6) AS value,
    if(slices > 0 AND count() = 0, 1e9, toFloat64(ifNull(known.2, 1e9))) AS age_s
FROM (
    SELECT
        e.counted_at > until - toIntervalSecond(60) AS is_now,
        quantileExactWeighted(0.95)(e.queue_us, toUInt64(round(e.sample_weight * 1000 / if(e.sample_ratio > 0, e.sample_ratio, 1)))) AS delay_us
    FROM event_records AS e
    WHERE e.service = {service:String} AND e.request_model = {model:String} AND e.queue_us >= 0
        AND e.counted_at > until - toIntervalDay(1) AND e.counted_at <= until
    GROUP BY is_now, intDiv(dateDiff('second', e.counted_at, until), 60), e.vantage
) AS n
COMMENT 'value: P95 of the seconds in the queue of a service and a model, of the events that are kept whole, weighted by their share; when age_s is past 60, stale, or no event of the last minute says, the most of any minute of the last day that is known; age_s is 1e9 when there is traffic and no event of that day says. One row, always';

CREATE OR REPLACE VIEW keda_burn_rate AS
WITH
    (SELECT max(event_time_max) FROM marks) AS newest,
    (
        SELECT if(count() = 0, 1e9, greatest(dateDiff('microsecond', max(watermark), ifNull(newest, max(watermark))) / 1e6, 0.))
        FROM statuses
    ) AS unjudged_s,
    greatest(ifNull((SELECT age_s FROM known_until), 1e9), ifNull(unjudged_s, 1e9)) AS known_age_s
SELECT
    toFloat64(ifNull(if(
        known_age_s > 60,
        max(arrayMax(arrayMap(rate -> ifNull(rate, 0.), s.windows_burn_rate))),
        max(ifNull(s.windows_burn_rate[indexOf(s.windows_s, arrayMin(s.windows_s))], 0.))
    ), 0)) AS value,
    toFloat64(known_age_s) AS age_s
FROM statuses AS s FINAL
WHERE s.is_deleted = 0 AND s.service = {service:String} AND (NOT mapContains(s.labels, 'request_model') OR s.labels['request_model'] = {model:String})
COMMENT 'value: the greatest burn rate, over its shortest window, of any SLO instance of a service and a model; when age_s is past 60, stale, the greatest over any window of what was judged last. One row, always';
