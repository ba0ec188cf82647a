-- What changes of late did: of each SLO instance that one can concern, what was counted before it, at the same time a week
-- earlier, and after it. A change is looked at from the last one that concerns some of the same until the next one; the
-- minute in which it came is on neither side. Of counts the newest revision of the indicator is taken. service = '': of
-- all; change_id = '': all of the last since_s that are of one of the kinds; slo = '': of all that it can concern, whose number is `instances`.
-- Changes are found once, as a value: as a subquery they would be planned anew wherever they are looked at, which costs three
-- times as much as all the rest.
WITH
    toIntervalSecond(toInt64({window_s:Float64})) AS span,
    toIntervalSecond(toInt64({since_s:Float64})) AS reach,
    (
        SELECT groupArray((
            service, change_id, at, kind, title, request_model, variant, region, ended_at, before_start, minute, whole_minute,
            least(
                whole_minute + span,
                toDateTime64(toStartOfMinute(ifNull(ended_at, now64(6, 'UTC') + toIntervalMinute(1))), 6, 'UTC')
            )
        ))
        FROM (
            SELECT
                *,
                arrayFilter(
                    other -> (other.3 = '' OR request_model = '' OR other.3 = request_model)
                        AND (other.4 = '' OR variant = '' OR other.4 = variant)
                        AND (other.5 = '' OR region = '' OR other.5 = region),
                    others
                ) AS touching,
                arrayFilter(each -> each > at, arrayMap(other -> other.1, touching)) AS later,
                if(empty(later), until, least(arrayMin(later), ifNull(until, arrayMin(later)))) AS ending,
                if(ending <= now64(6, 'UTC'), ending, NULL) AS ended_at,
                arrayMax(arrayPushBack(
                    arrayMap(other -> other.2, arrayFilter(other -> other.1 < at, touching)), minute - span
                )) AS before_start
            FROM (
                SELECT
                    *,
                    groupArray((at, whole_minute, request_model, variant, region)) OVER (PARTITION BY service) AS others
                FROM (
                    SELECT
                        service, change_id, at, lower(toString(kind)) AS kind, title, request_model, variant, region, until,
                        toDateTime64(toStartOfMinute(at), 6, 'UTC') AS minute,
                        minute + toIntervalMinute(minute < at) AS whole_minute  -- the first one after it
                    FROM config_changes
                    WHERE has({kinds:Array(String)}, toString(config_changes.kind)) AND at <= now64(6, 'UTC')
                        AND ({service:String} = '' OR service = {service:String})
                        AND ({change_id:String} != '' OR at >= now64(6, 'UTC') - reach - span)
                )
            )
            WHERE if({change_id:String} = '', at >= now64(6, 'UTC') - reach, change_id = {change_id:String})
            ORDER BY at DESC, change_id
            LIMIT 50
        )
    ) AS changes,
    (
        SELECT groupUniqArray(slo) FROM compliance
        WHERE hasAny(splitByChar(',', toString(service)), arrayMap(each -> toString(each.1), changes))
            AND ({slo:String} = '' OR slo = {slo:String})
    ) AS slos
SELECT
    changes[place] AS one, one.1 AS service, one.2 AS change_id, one.3 AS at, one.4 AS kind, one.5 AS title,
    one.6 AS request_model, one.7 AS variant, one.8 AS region, one.9 AS ended_at, one.10 AS before_start,
    one.12 AS after_start, one.13 AS after_end, any(c_instances) AS instances,
    slo, instance, any(c_target) AS target, any(c_window_eligible) AS window_eligible, revision,
    sumIf(good, is_before) AS before_good, sumIf(bad, is_before) AS before_bad,
    countIf(is_before AND is_some) AS before_minutes, sumIf(square, is_before) AS before_squares,
    sumIf(good, is_week) AS week_good, sumIf(bad, is_week) AS week_bad,
    countIf(is_week AND is_some) AS week_minutes, sumIf(square, is_week) AS week_squares,
    sumIf(good, is_after) AS after_good, sumIf(bad, is_after) AS after_bad,
    sumMapIf(
        [toInt32(floor(12 * since_s / {window_s:Float64}))], [good], [bad],
        is_before OR is_after
    ) AS steps
FROM (
    SELECT
        c.place AS place, c.instances AS c_instances, c.slo AS slo, c.instance AS instance, c.target AS c_target,
        c.window_eligible AS c_window_eligible, dateDiff('second', c.after_start, n.slice_start) AS since_s,
        n.revision AS revision, n.slice_start AS slice_start, n.good AS good, n.bad AS bad,
        n.slice_start >= c.before_start AND n.slice_start < c.before_end AS is_before,
        n.slice_start >= c.after_start - toIntervalDay(7) AND n.slice_start < c.after_end - toIntervalDay(7) AS is_week,
        n.slice_start >= c.after_start AND n.slice_start < c.after_end AS is_after,
        n.good + n.bad > 0 AS is_some,
        n.bad * n.bad / greatest(n.good + n.bad, 1) AS square
    FROM (
        SELECT * FROM (
            SELECT
                count() OVER (PARTITION BY c.place) AS instances, c.place AS place,
                c.before_start AS before_start, c.before_end AS before_end, c.after_start AS after_start,
                c.after_end AS after_end,
                s.slo AS slo, s.instance AS instance, s.target AS target, s.window_eligible AS window_eligible
            FROM (
                SELECT
                    arrayJoin(arrayZip(arrayEnumerate(changes), changes)) AS each, each.1 AS place, each.2 AS one,
                    toString(one.1) AS service, one.6 AS request_model, one.7 AS variant, one.8 AS region,
                    one.10 AS before_start, one.11 AS before_end, one.12 AS after_start, one.13 AS after_end
            ) AS c
            INNER JOIN (
                SELECT arrayJoin(splitByChar(',', toString(service))) AS about, slo, instance, labels, target, eligible AS window_eligible
                FROM compliance WHERE counts = 'REQUESTS'
            ) AS s ON s.about = c.service
            WHERE (c.request_model = '' OR NOT mapContains(s.labels, 'request_model') OR s.labels['request_model'] = c.request_model)
                AND (c.variant = '' OR NOT mapContains(s.labels, 'variant') OR s.labels['variant'] = c.variant)
                AND (c.region = '' OR NOT mapContains(s.labels, 'region') OR s.labels['region'] = c.region)
        )
        WHERE {slo:String} = '' OR (slo = {slo:String} AND instance = {instance:String})
    ) AS c
    LEFT JOIN (
        SELECT slo, instance, revision, slice_start, sum(good) AS good, sum(bad) AS bad
        FROM slo_count_rows_1m
        WHERE has(slos, slo) AND ({slo:String} = '' OR instance = {instance:String}) AND slice_start GLOBAL IN (
            SELECT arrayJoin(arrayConcat(
                arrayMap(step -> one.10 + toIntervalMinute(step), range(toUInt32(greatest(dateDiff('minute', one.10, one.11), 0)))),
                arrayMap(step -> one.12 + toIntervalMinute(step), range(toUInt32(greatest(dateDiff('minute', one.12, one.13), 0)))),
                arrayMap(
                    step -> one.12 - toIntervalDay(7) + toIntervalMinute(step),
                    range(toUInt32(greatest(dateDiff('minute', one.12, one.13), 0)))
                )
            ))
            FROM (SELECT arrayJoin(changes) AS one)
        )
        GROUP BY slo, instance, revision, slice_start
    ) AS n ON n.slo = c.slo AND n.instance = c.instance
)
GROUP BY place, slo, instance, revision
ORDER BY max(slice_start) DESC
LIMIT 1 BY place, slo, instance
