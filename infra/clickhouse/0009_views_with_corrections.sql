-- What people read once time may be left out: compliance and budget with and without corrections, side by side, out of
-- stored counts; and alerts that were judged on such time.
--
-- A window is read in whole minutes: from where the judge begins it (pipeline.windows: a cell, of an hour for windows
-- above 3 d and of five minutes above 2 h, or where a calendar's period begins) to the last whole minute that was judged.
-- Whole hours are read as such, the rest by the minute. Minutes are kept for 120 days: before that, an hour is left out
-- when one correction covers all of it.

CREATE VIEW IF NOT EXISTS compliance_corrected (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    service LowCardinality(String) COMMENT 'service',
    labels Map(LowCardinality(String), String) COMMENT 'the groupBy labels',
    target Float64 COMMENT 'a ratio in (0, 1)',
    window_start DateTime64(6, 'UTC') COMMENT 'first instant of the window',
    window_end DateTime64(6, 'UTC') COMMENT 'end of the window: the last whole minute that was judged',
    good Int64 COMMENT 'events in target, in time that counts',
    bad Int64 COMMENT 'out of target, in time that counts',
    excluded Int64 COMMENT 'events that do not count, in time that counts',
    eligible Int64 COMMENT 'good + bad',
    compliance_ratio Nullable(Float64) COMMENT 'good / eligible, in time that counts; null: nothing was eligible',
    uncorrected_good Int64 COMMENT 'good in all of the window',
    uncorrected_bad Int64 COMMENT 'bad in all of the window',
    uncorrected_excluded Int64 COMMENT 'excluded in all of the window',
    uncorrected_eligible Int64 COMMENT 'uncorrected_good + uncorrected_bad',
    uncorrected_compliance_ratio Nullable(Float64) COMMENT 'compliance in all of the window; null: nothing was eligible',
    corrected_minutes Int64 COMMENT 'how much of the window corrections leave out',
    corrections Array(String) COMMENT 'corrections in force that leave out some of it'
) AS
WITH
    windows AS (
        SELECT
            s.slo AS slo, s.instance AS instance, s.revision AS revision, s.service AS service, s.labels AS labels,
            s.target AS target, assumeNotNull(s.counts_revision) AS counts_revision,
            toDateTime64(toStartOfMinute(s.window_end), 6, 'UTC') AS until,
            toDateTime64(multiIf(
                dateDiff('microsecond', s.window_start, s.window_end) != s.window_us, toStartOfMinute(s.window_start),
                s.window_us > 259200000000, toStartOfHour(s.window_start),
                s.window_us > 7200000000, toStartOfFiveMinutes(s.window_start),
                toStartOfMinute(s.window_start)
            ), 6, 'UTC') AS since
        FROM statuses AS s FINAL
        WHERE s.is_deleted = 0 AND s.counts_revision IS NOT NULL
    ),
    -- what is left out of each window: names and ranges within it, by their starts
    scopes AS (
        SELECT
            w.slo AS slo, w.instance AS instance, w.counts_revision AS counts_revision, w.since AS since, w.until AS until,
            toStartOfHour(w.since + toIntervalMinute(59)) AS hours_since,
            greatest(hours_since, toStartOfHour(w.until)) AS hours_until,
            mapConcat(CAST(w.labels, 'Map(String, String)'), map('slo', w.slo, 'service', w.service)) AS names,
            arraySort(cut -> cut.2, arrayMap(
                r -> (r.1, greatest(r.2, w.since), least(r.3, w.until)),
                arrayFilter(
                    r -> r.2 < w.until AND r.3 > w.since AND arrayAll(
                        (label, values, none_of, prefixes) -> has(mapKeys(names), label)
                            AND (empty(values) OR has(values, names[label])) AND NOT has(none_of, names[label])
                            AND (empty(prefixes) OR arrayExists(prefix -> startsWith(names[label], prefix), prefixes)),
                        r.4, r.5, r.6, r.7
                    ),
                    c.ranges
                )
            )) AS cuts,
            (w.revision, w.service, w.labels, w.target, w.since, w.until, cuts) AS scope
        FROM windows AS w
        CROSS JOIN (
            SELECT groupArray((
                correction, range_start, range_end, where_labels, where_values, where_none_of, where_prefixes
            )) AS ranges
            FROM correction_ranges
        ) AS c
    ),
    slices AS (
        SELECT
            s.slo AS slo, s.instance AS instance, c.good AS good, c.bad AS bad, c.excluded AS excluded, s.scope AS scope,
            c.slice_start >= s.since AND c.slice_start < s.until AS is_inside,
            is_inside AND c.is_hour = (c.slice_start >= s.hours_since AND c.slice_start < s.hours_until) AS is_whole,
            is_inside AND c.is_hour = (c.slice_start < toStartOfHour(now('UTC') - toIntervalDay(119))) AND arrayExists(
                cut -> c.slice_start >= cut.2 AND c.slice_start + toIntervalMinute(if(c.is_hour, 60, 1)) <= cut.3,
                s.cuts
            ) AS is_left_out
        FROM (
            SELECT slo, instance, revision, slice_start, good, bad, excluded, true AS is_hour
            FROM counts_1h
            UNION ALL
            SELECT slo, instance, revision, slice_start, good, bad, excluded, false AS is_hour
            FROM counts_1m
            -- minutes of hours that a window begins or ends in, or that something is left out of
            WHERE toStartOfHour(slice_start) IN (
                SELECT toStartOfHour(arrayJoin([since, until])) FROM windows
                UNION ALL
                SELECT arrayJoin(arrayMap(
                    hour -> toStartOfHour(range_start) + toIntervalHour(hour),
                    range(toUInt32(dateDiff('hour', range_start, range_end) + 1))
                ))
                FROM correction_ranges
            )
        ) AS c
        RIGHT JOIN scopes AS s ON c.slo = s.slo AND c.instance = s.instance AND c.revision = s.counts_revision
    ),
    summed AS (
        SELECT
            f.slo AS slo, f.instance AS instance, any(f.scope) AS scope,
            sumIf(f.good, f.is_whole) AS good, sumIf(f.bad, f.is_whole) AS bad,
            sumIf(f.excluded, f.is_whole) AS excluded, sumIf(f.good, f.is_left_out) AS good_out,
            sumIf(f.bad, f.is_left_out) AS bad_out, sumIf(f.excluded, f.is_left_out) AS excluded_out
        FROM slices AS f
        GROUP BY f.slo, f.instance
    )
SELECT
    c.slo AS slo,
    c.scope.1 AS revision,
    c.instance AS instance,
    c.scope.2 AS service,
    c.scope.3 AS labels,
    c.scope.4 AS target,
    c.scope.5 AS window_start,
    c.scope.6 AS window_end,
    c.good - c.good_out AS good,
    c.bad - c.bad_out AS bad,
    c.excluded - c.excluded_out AS excluded,
    good + bad AS eligible,
    if(eligible = 0, NULL, good / eligible) AS compliance_ratio,
    c.good AS uncorrected_good,
    c.bad AS uncorrected_bad,
    c.excluded AS uncorrected_excluded,
    uncorrected_good + uncorrected_bad AS uncorrected_eligible,
    if(uncorrected_eligible = 0, NULL, uncorrected_good / uncorrected_eligible) AS uncorrected_compliance_ratio,
    -- overlapping ranges leave a minute out once: each adds what those before it do not reach
    arrayFold(
        (sum, cut) -> (
            sum.1 + greatest(dateDiff('minute', greatest(cut.2, sum.2), cut.3), 0), greatest(cut.3, sum.2)
        ),
        c.scope.7,
        (toInt64(0), c.scope.5)
    ).1 AS corrected_minutes,
    arraySort(arrayDistinct(arrayMap(cut -> cut.1, c.scope.7))) AS corrections
FROM summed AS c
COMMENT 'Compliance with and without corrections: one row is an SLO instance, over its window, of those that count requests';

CREATE VIEW IF NOT EXISTS error_budget_corrected (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of the SLO',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    target Float64 COMMENT 'a ratio in (0, 1)',
    window_start DateTime64(6, 'UTC') COMMENT 'first instant of the window',
    window_end DateTime64(6, 'UTC') COMMENT 'end of the window: the last whole minute that was judged',
    budget_events Float64 COMMENT '(1 - target) x eligible, in time that counts',
    bad Int64 COMMENT 'how many were, in time that counts',
    budget_remaining_ratio Nullable(Float64) COMMENT 'share of the budget left, in time that counts; null: no data',
    budget_minutes Float64 COMMENT '(1 - target) x the time of the window that counts, in minutes',
    uncorrected_budget_events Float64 COMMENT 'the same in all of the window',
    uncorrected_bad Int64 COMMENT 'the same in all of the window',
    uncorrected_budget_remaining_ratio Nullable(Float64) COMMENT 'the same in all of the window; null: no data',
    corrected_minutes Int64 COMMENT 'how much of the window corrections leave out',
    corrections Array(String) COMMENT 'corrections in force that leave out some of it'
) AS
WITH 10000000 - toInt64(round(c.target * 10000000)) AS allowed  -- of ten millions: a target has at most 7 decimals
SELECT
    c.slo AS slo,
    c.revision AS revision,
    c.instance AS instance,
    c.target AS target,
    c.window_start AS window_start,
    c.window_end AS window_end,
    allowed * c.eligible / 10000000 AS budget_events,
    c.bad AS bad,
    if(c.eligible = 0, NULL, (allowed * c.eligible - c.bad * 10000000) / (allowed * c.eligible)) AS budget_remaining_ratio,
    allowed * (dateDiff('minute', c.window_start, c.window_end) - c.corrected_minutes) / 10000000 AS budget_minutes,
    allowed * c.uncorrected_eligible / 10000000 AS uncorrected_budget_events,
    c.uncorrected_bad AS uncorrected_bad,
    if(
        c.uncorrected_eligible = 0,
        NULL,
        (allowed * c.uncorrected_eligible - c.uncorrected_bad * 10000000) / (allowed * c.uncorrected_eligible)
    ) AS uncorrected_budget_remaining_ratio,
    c.corrected_minutes AS corrected_minutes,
    c.corrections AS corrections
FROM compliance_corrected AS c
COMMENT 'Error budget with and without corrections: one row is an SLO instance, of those that count requests';

CREATE VIEW IF NOT EXISTS alert_corrections (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    dedup_key String COMMENT 'the alert',
    sequence Int64 COMMENT 'number of the event in its alert',
    started_at DateTime64(6, 'UTC') COMMENT 'event time at which the alert fired',
    correction String COMMENT 'a correction in force of time that the event was judged on, or that passed until the next one'
) AS
SELECT DISTINCT
    e.slo AS slo,
    e.dedup_key AS dedup_key,
    e.sequence AS sequence,
    e.started_at AS started_at,
    r.correction AS correction
FROM (
    SELECT
        slo, dedup_key, sequence, started_at,
        window_end - toIntervalSecond(greatest(long_window_s, 1)) AS since,
        if(event = 'RESOLVED', window_end, leadInFrame(window_end, 1, now64(6, 'UTC')) OVER (
            PARTITION BY slo, dedup_key, started_at ORDER BY sequence ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING
        )) AS until,
        mapConcat(CAST(labels, 'Map(String, String)'), map('slo', slo, 'service', service)) AS names
    FROM alert_events FINAL
) AS e
CROSS JOIN correction_ranges AS r
WHERE r.range_start < e.until AND r.range_end > e.since
AND arrayAll(
    (label, values, none_of, prefixes) -> has(mapKeys(e.names), label)
        AND (empty(values) OR has(values, e.names[label])) AND NOT has(none_of, e.names[label])
        AND (empty(prefixes) OR arrayExists(prefix -> startsWith(e.names[label], prefix), prefixes)),
    r.where_labels, r.where_values, r.where_none_of, r.where_prefixes
)
COMMENT 'Alerts and corrections: one row is an event of an alert and a correction it falls into; none silences an alert';
