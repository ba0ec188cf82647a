-- Windows of one SLO's instances with and without corrections, side by side, out of stored counts: those of one piece, since
-- hours of thousands of instances are more than a question may hold in memory.
--
-- Of requests a window is read in whole minutes: from where the judge begins it (pipeline.windows: a cell, of an hour for
-- windows above 3 d and of five minutes above 2 h, or where a calendar's period begins) to the last whole minute that was
-- judged. Whole hours are read as such, the rest by the minute. Minutes are kept for 120 days: before that, an hour is left
-- out when one correction covers all of it.
--
-- Of slices of time the judgement says what there was, and what is left out is the difference that corrections make: every
-- slice that they touch is judged again by the requests that are left. Slices are those of whole minutes.
-- Of a composite every part is read like an SLO; a part is left out with its composite, and with the SLO that it is of.
--
-- Nothing is joined (a join is planned for longer than it runs); what is left out of an instance is looked for once, not for
-- each of its counts; minutes are found by counts_1m's projection, which a set of a subquery can use and an array cannot.
WITH
    toUnixTimestamp(toStartOfHour(now('UTC') - toIntervalDay(119))) AS oldest,
    (
        SELECT groupArray((correction, range_start, range_end, where_labels, where_values, where_none_of, where_prefixes))
        FROM correction_ranges
    ) AS ranges,
    (
        SELECT groupUniqArrayArray(arrayPushBack(p.parts, toString(p.slo))) FROM statuses AS p FINAL
        WHERE p.is_deleted = 0 AND p.slo = {part:String}
    ) AS part_names,
    -- minutes that are left out, all others of their slices, and those of hours that a window begins or ends in
    (
        SELECT groupUniqArray(minute) FROM (
            SELECT fromUnixTimestamp64Micro(toInt64(60000000) * arrayJoin(range(
                toUInt32(intDiv(intDiv(toUnixTimestamp(r.range_start), l.length) * l.length, 60)),
                toUInt32(intDiv((intDiv(toUnixTimestamp(r.range_end) - 1, l.length) + 1) * l.length, 60))
            )), 'UTC') AS minute
            FROM correction_ranges AS r
            CROSS JOIN (
                SELECT DISTINCT greatest(intDiv(ifNull(slice_us, 0), 1000000), 60) AS length
                FROM statuses FINAL WHERE is_deleted = 0 AND slo = {part:String}
            ) AS l
            WHERE r.range_end > now('UTC') - toIntervalDay(121) AND r.range_start < now('UTC')
            UNION ALL
            SELECT toDateTime64(e.hour, 6, 'UTC') + toIntervalMinute(arrayJoin(range(60))) AS minute
            FROM (
                SELECT DISTINCT toStartOfHour(arrayJoin([window_start, window_end])) AS hour
                FROM statuses FINAL WHERE is_deleted = 0 AND slo = {part:String}
            ) AS e
        )
    ) AS touched,
    windows AS (
        SELECT
            s.slo AS slo, s.instance AS instance, s.revision AS revision, s.service AS service, s.labels AS labels,
            s.target AS target,
            multiIf(s.counts_revision IS NOT NULL, 'REQUESTS', s.slice_us IS NOT NULL, 'SLICES', 'MEAN') AS counts,
            if(
                counts = 'SLICES',
                greatest(assumeNotNull(s.counted_since), s.window_start - toIntervalHour(1)),
                toDateTime64(multiIf(
                    dateDiff('microsecond', s.window_start, s.window_end) != s.window_us, toStartOfMinute(s.window_start),
                    s.window_us > 259200000000, toStartOfHour(s.window_start),
                    s.window_us > 7200000000, toStartOfFiveMinutes(s.window_start),
                    toStartOfMinute(s.window_start)
                ), 6, 'UTC')
            ) AS since,
            if(counts = 'SLICES', s.window_end, toDateTime64(toStartOfMinute(s.window_end), 6, 'UTC')) AS until,
            intDiv(ifNull(s.slice_us, 0), 1000000) AS slice_s,
            if(s.slice_target IS NULL, -1, toInt64(round(assumeNotNull(s.slice_target) * 10000000))) AS share,
            (s.good, s.bad, s.excluded) AS judged,
            mapConcat(CAST(s.labels, 'Map(String, String)'), map('service', s.service)) AS names,
            arrayJoin(if(
                counts = 'REQUESTS',
                [(toString(s.slo), assumeNotNull(s.counts_revision), toInt64(1))],
                arrayZip(s.parts, s.part_revisions, s.part_weights)
            )) AS part,
            arrayFilter(
                r -> r.2 < until AND r.3 > since AND arrayExists(
                    name -> arrayAll(
                        (label, values, none_of, prefixes) -> (label = 'slo' OR has(mapKeys(names), label))
                            AND (empty(values) OR has(values, if(label = 'slo', name, names[label])))
                            AND NOT has(none_of, if(label = 'slo', name, names[label]))
                            AND (empty(prefixes) OR arrayExists(
                                prefix -> startsWith(if(label = 'slo', name, names[label]), prefix), prefixes
                            )),
                        r.4, r.5, r.6, r.7
                    ),
                    -- a part is named composite>member
                    if(position(part.1, '>') = 0, [toString(s.slo)], [toString(s.slo), splitByChar('>', part.1)[-1]])
                ),
                ranges
            ) AS cuts
        FROM statuses AS s FINAL
        WHERE s.is_deleted = 0 AND s.slo = {part:String} AND cityHash64(s.instance) % {pieces:UInt32} = {piece:UInt32}
            AND intDiv(ifNull(s.slice_us, 0), 1000000) % 60 = 0
    ),
    found AS (
        SELECT w.slo AS slo, w.instance AS instance, w.part.1 AS part, w.part.2 AS part_revision, 0 AS step, 0 AS at,
            0 AS good, 0 AS bad, 0 AS excluded,
            [(
                w.revision, w.service, w.labels, w.target, w.counts, w.since, w.until,
                toUnixTimestamp(toStartOfHour(w.since + toIntervalMinute(59))),
                toUnixTimestamp(toStartOfHour(w.until)), w.slice_s, w.share, w.judged, w.part.3,
                arraySort(cut -> cut.2, arrayMap(r -> (r.1, greatest(r.2, w.since), least(r.3, w.until)), w.cuts))
            )] AS scope
        FROM windows AS w
        UNION ALL
        SELECT {part:String}, instance, toString(slo), revision, 60, toUnixTimestamp(slice_start), good, bad, excluded, []
        FROM counts_1h
        WHERE slo IN (SELECT arrayJoin(part_names)) AND cityHash64(instance) % {pieces:UInt32} = {piece:UInt32}
        UNION ALL
        SELECT {part:String}, instance, toString(slo), revision, 1, toUnixTimestamp(slice_start), good, bad, excluded, []
        FROM counts_1m
        WHERE slo IN (SELECT arrayJoin(part_names)) AND cityHash64(instance) % {pieces:UInt32} = {piece:UInt32}
            AND slice_start IN (SELECT arrayJoin(touched))
    ),
    of_parts AS (
        SELECT f.slo AS slo, f.instance AS instance, groupArrayArray(f.scope) AS scopes,
            groupArrayIf((f.at, f.good, f.bad, f.excluded), f.step = 60) AS hours,
            groupArrayIf((f.at, f.good, f.bad, f.excluded), f.step = 1) AS minutes
        FROM found AS f
        GROUP BY f.slo, f.instance, f.part, f.part_revision
        HAVING notEmpty(scopes)
    ),
    -- which hours and minutes are in the window, and which of them are left out
    placed AS (
        SELECT p.slo AS slo, p.instance AS instance, p.scopes[1] AS scope,
            toUnixTimestamp(scope.6) AS since, toUnixTimestamp(scope.7) AS until, scope.8 AS hours_since,
            greatest(scope.8, scope.9) AS hours_until, greatest(scope.10, 60) AS slice_s, scope.10 > 0 AS is_slices,
            arrayMap(cut -> toUnixTimestamp(cut.2), scope.14) AS starts, arrayMap(cut -> toUnixTimestamp(cut.3), scope.14) AS ends,
            p.hours AS hours, p.minutes AS minutes,
            arrayMap(t -> t >= hours_since AND t < hours_until, hours.1) AS hours_in,
            arrayMap(t -> t < oldest AND arrayExists((a, b) -> t >= a AND t + 3600 <= b, starts, ends), hours.1) AS hours_out,
            arrayMap(t -> t >= since AND t < until AND NOT (t >= hours_since AND t < hours_until), minutes.1) AS minutes_in,
            arrayMap(t -> t >= oldest AND arrayExists((a, b) -> t >= a AND t < b, starts, ends), minutes.1) AS minutes_out,
            if(is_slices, arrayMap(t -> intDiv(t, slice_s) + 1, minutes.1), []) AS numbers,
            arrayReduce(
                'sumMap', [numbers], [if(is_slices, minutes.2, [])], [if(is_slices, minutes.3, [])],
                [if(is_slices, arrayMap((n, is_out) -> n * NOT is_out, minutes.2, minutes_out), [])],
                [if(is_slices, arrayMap((n, is_out) -> n * NOT is_out, minutes.3, minutes_out), [])]
            ) AS slices
        FROM of_parts AS p
    ),
    counted AS (
        SELECT p.slo AS slo, p.instance AS instance, p.scope AS scope, p.scope.13 AS weight,
            if(p.is_slices, 0, arraySum((n, is_in) -> n * is_in, p.hours.2, p.hours_in) + arraySum((n, is_in) -> n * is_in, p.minutes.2, p.minutes_in)) AS good,
            if(p.is_slices, 0, arraySum((n, is_in) -> n * is_in, p.hours.3, p.hours_in) + arraySum((n, is_in) -> n * is_in, p.minutes.3, p.minutes_in)) AS bad,
            if(p.is_slices, 0, arraySum((n, is_in) -> n * is_in, p.hours.4, p.hours_in) + arraySum((n, is_in) -> n * is_in, p.minutes.4, p.minutes_in)) AS excluded,
            if(p.is_slices, 0, arraySum((n, is_out) -> n * is_out, p.hours.2, p.hours_out) + arraySum((n, is_out) -> n * is_out, p.minutes.2, p.minutes_out)) AS good_out,
            if(p.is_slices, 0, arraySum((n, is_out) -> n * is_out, p.hours.3, p.hours_out) + arraySum((n, is_out) -> n * is_out, p.minutes.3, p.minutes_out)) AS bad_out,
            if(p.is_slices, 0, arraySum((n, is_out) -> n * is_out, p.hours.4, p.hours_out) + arraySum((n, is_out) -> n * is_out, p.minutes.4, p.minutes_out)) AS excluded_out,
            arrayMap(n -> n * p.slice_s > p.since AND n * p.slice_s <= p.until, p.slices.1) AS is_inside,
            arrayMap((good, bad, is_in) -> is_in AND good + bad > 0, p.slices.2, p.slices.3, is_inside) AS had,
            arrayMap((good, bad, is_in) -> is_in AND good + bad > 0, p.slices.4, p.slices.5, is_inside) AS has_left,
            arrayMap((good, bad, had) -> had AND good * 10000000 < (good + bad) * p.scope.11, p.slices.2, p.slices.3, had) AS failed,
            arrayMap((good, bad, had) -> had AND good * 10000000 < (good + bad) * p.scope.11, p.slices.4, p.slices.5, has_left) AS fails_left,
            -- ratios are shared in millionths, rounded, as the judge does
            arrayMap((good, bad, had) -> if(had, intDiv(good * 1000000 + intDiv(good + bad, 2), greatest(good + bad, 1)), 0), p.slices.2, p.slices.3, had) AS shared,
            arrayMap((good, bad, had) -> if(had, intDiv(good * 1000000 + intDiv(good + bad, 2), greatest(good + bad, 1)), 0), p.slices.4, p.slices.5, has_left) AS shared_left,
            p.slices.1 AS numbers
        FROM placed AS p
    ),
    merged AS (
        SELECT p.slo AS slo, p.instance AS instance, any(p.scope) AS scope, arraySort(cut -> cut.2, arrayDistinct(groupArrayArray(p.scope.14))) AS cuts,
            sum(p.good) AS good, sum(p.bad) AS bad, sum(p.excluded) AS excluded,
            sum(p.good_out) AS good_out, sum(p.bad_out) AS bad_out, sum(p.excluded_out) AS excluded_out,
            sumIf(p.weight * p.good / (p.good + p.bad), p.good + p.bad > 0) / sumIf(p.weight, p.good + p.bad > 0) AS mean,
            sumIf(
                p.weight * (p.good - p.good_out) / (p.good - p.good_out + p.bad - p.bad_out),
                p.good - p.good_out + p.bad - p.bad_out > 0
            ) / sumIf(p.weight, p.good - p.good_out + p.bad - p.bad_out > 0) AS mean_left,
            sumMap(p.numbers, p.had, p.failed, p.has_left, p.fails_left, p.shared, p.shared_left) AS slices
        FROM counted AS p
        GROUP BY p.slo, p.instance
    ),
    -- a slice of several is good when all are that had any request in it
    summed AS (
        SELECT m.slo AS slo, m.instance AS instance, m.scope AS scope, m.cuts AS cuts, m.mean AS mean, m.mean_left AS mean_left,
            scope.5 = 'SLICES' AS is_slices, scope.11 < 0 AS is_shared, m.slices AS s,
            if(is_slices, scope.12.1, m.good) AS good, if(is_slices, scope.12.2, m.bad) AS bad,
            if(is_slices, scope.12.3, m.excluded) AS excluded, m.excluded_out AS excluded_out,
            m.good_out + if(
                is_shared,
                toInt64(arraySum(s.6)) - toInt64(arraySum(s.7)),
                toInt64(arraySum((had, failed) -> had > 0 AND failed = 0, s.2, s.3)) - toInt64(arraySum((had, failed) -> had > 0 AND failed = 0, s.4, s.5))
            ) AS good_out,
            m.bad_out + if(
                is_shared,
                toInt64(1000000) * (toInt64(arraySum(s.2)) - toInt64(arraySum(s.4))) - (toInt64(arraySum(s.6)) - toInt64(arraySum(s.7))),
                toInt64(arraySum(failed -> failed > 0, s.3)) - toInt64(arraySum(failed -> failed > 0, s.5))
            ) AS bad_out
        FROM merged AS m
    )
SELECT
    c.slo AS slo,
    c.scope.1 AS revision,
    c.instance AS instance,
    c.scope.2 AS service,
    c.scope.3 AS labels,
    c.scope.4 AS target,
    c.scope.5 AS counts,
    c.scope.6 AS window_start,
    c.scope.7 AS window_end,
    c.good - c.good_out AS good,
    c.bad - c.bad_out AS bad,
    c.excluded - c.excluded_out AS excluded,
    if(good + bad = 0, NULL, if(counts = 'MEAN', c.mean_left, good / (good + bad))) AS compliance_ratio,
    c.good AS uncorrected_good,
    c.bad AS uncorrected_bad,
    c.excluded AS uncorrected_excluded,
    if(c.good + c.bad = 0, NULL, if(counts = 'MEAN', c.mean, c.good / (c.good + c.bad))) AS uncorrected_compliance_ratio,
    -- overlapping ranges leave a minute out once: each adds what those before it do not reach
    arrayFold(
        (sum, cut) -> (
            sum.1 + greatest(dateDiff('minute', greatest(cut.2, sum.2), cut.3), 0), greatest(cut.3, sum.2)
        ),
        c.cuts,
        (toInt64(0), c.scope.6)
    ).1 AS corrected_minutes,
    arraySort(arrayDistinct(arrayMap(cut -> cut.1, c.cuts))) AS corrections
FROM summed AS c
