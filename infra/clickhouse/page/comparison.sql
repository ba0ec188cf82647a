-- What changes of late did: of each SLO instance that one can concern, what was counted before it, at the same time a week
-- earlier, and after it. A change is looked at from the last one that concerns some of the same until the next one; the
-- minute in which it came is on neither side. Of counts the newest revision of the indicator is taken. service = '': of
-- all; change_id = '': all of the last since_s
WITH
    toIntervalSecond(toInt64({window_s:Float64})) AS span,
    toIntervalSecond(toInt64({since_s:Float64})) AS reach,
    recent AS (
        SELECT
            c.service AS service, c.change_id AS change_id, c.at AS at, lower(c.kind) AS word, c.title AS title,
            c.request_model AS request_model, c.variant AS variant, c.region AS region, c.until AS until,
            toDateTime64(toStartOfMinute(c.at), 6, 'UTC') AS minute,
            minute + toIntervalMinute(minute < c.at) AS whole_minute  -- the first one after it
        FROM config_changes AS c
        WHERE c.kind IN ('DEPLOY', 'ROLLBACK', 'KNOB') AND at <= now64(6, 'UTC')
            AND ({service:String} = '' OR service = {service:String})
            AND ({change_id:String} != '' OR at >= now64(6, 'UTC') - reach - span)
    ),
    compared AS (
        SELECT
            c.service AS service, c.change_id AS change_id, c.at AS at, c.word AS kind, c.title AS title,
            c.request_model AS request_model, c.variant AS variant, c.region AS region,
            arrayFilter(
                other -> (other.3 = '' OR c.request_model = '' OR other.3 = c.request_model)
                    AND (other.4 = '' OR c.variant = '' OR other.4 = c.variant)
                    AND (other.5 = '' OR c.region = '' OR other.5 = c.region),
                o.others
            ) AS touching,
            arrayFilter(each -> each > c.at, arrayMap(other -> other.1, touching)) AS later,
            if(empty(later), c.until, least(arrayMin(later), ifNull(c.until, arrayMin(later)))) AS ending,
            if(ending <= now64(6, 'UTC'), ending, NULL) AS ended_at,
            c.minute AS before_end,
            c.whole_minute AS after_start,
            arrayMax(arrayPushBack(
                arrayMap(other -> other.2, arrayFilter(other -> other.1 < c.at, touching)), before_end - span
            )) AS before_start,
            least(
                after_start + span, toDateTime64(toStartOfMinute(ifNull(ended_at, now64(6, 'UTC') + toIntervalMinute(1))), 6, 'UTC')
            ) AS after_end
        FROM recent AS c
        INNER JOIN (
            SELECT service, groupArray((at, whole_minute, request_model, variant, region)) AS others FROM recent GROUP BY service
        ) AS o ON o.service = c.service
        WHERE if({change_id:String} = '', c.at >= now64(6, 'UTC') - reach, c.change_id = {change_id:String})
        ORDER BY at DESC, change_id
        LIMIT 50
    ),
    concerned AS (
        SELECT
            c.service AS service, c.change_id AS change_id, c.at AS at, c.kind AS kind, c.title AS title,
            c.request_model AS request_model, c.variant AS variant, c.region AS region, c.ended_at AS ended_at,
            c.before_start AS before_start, c.before_end AS before_end, c.after_start AS after_start, c.after_end AS after_end,
            s.slo AS slo, s.instance AS instance, s.target AS target, s.window_eligible AS window_eligible
        FROM compared AS c
        INNER JOIN (
            SELECT arrayJoin(splitByChar(',', toString(service))) AS about, slo, instance, labels, target, eligible AS window_eligible
            FROM compliance WHERE counts = 'REQUESTS'
        ) AS s ON s.about = c.service
        WHERE (c.request_model = '' OR NOT mapContains(s.labels, 'request_model') OR s.labels['request_model'] = c.request_model)
            AND (c.variant = '' OR NOT mapContains(s.labels, 'variant') OR s.labels['variant'] = c.variant)
            AND (c.region = '' OR NOT mapContains(s.labels, 'region') OR s.labels['region'] = c.region)
    ),
    n.slice_start >= c.before_start AND n.slice_start < c.before_end AS is_before,
    n.slice_start >= c.after_start - toIntervalDay(7) AND n.slice_start < c.after_end - toIntervalDay(7) AS is_week,
    n.slice_start >= c.after_start AND n.slice_start < c.after_end AS is_after,
    n.good + n.bad > 0 AS is_some,
    n.bad * n.bad / greatest(n.good + n.bad, 1) AS square
SELECT
    c.service AS service, c.change_id AS change_id, c.at AS at, c.kind AS kind, c.title AS title,
    c.request_model AS request_model, c.variant AS variant, c.region AS region, c.before_start AS before_start,
    c.after_start AS after_start, c.after_end AS after_end, c.ended_at AS ended_at,
    c.slo AS slo, c.instance AS instance, c.target AS target, c.window_eligible AS window_eligible, n.revision AS revision,
    sumIf(n.good, is_before) AS before_good, sumIf(n.bad, is_before) AS before_bad,
    countIf(is_before AND is_some) AS before_minutes, sumIf(square, is_before) AS before_squares,
    sumIf(n.good, is_week) AS week_good, sumIf(n.bad, is_week) AS week_bad,
    countIf(is_week AND is_some) AS week_minutes, sumIf(square, is_week) AS week_squares,
    sumIf(n.good, is_after) AS after_good, sumIf(n.bad, is_after) AS after_bad,
    sumMapIf(
        [toInt32(floor(12 * dateDiff('second', c.after_start, n.slice_start) / {window_s:Float64}))], [n.good], [n.bad],
        is_before OR is_after
    ) AS steps
FROM concerned AS c
LEFT JOIN (
    SELECT slo, instance, revision, slice_start, sum(good) AS good, sum(bad) AS bad
    FROM slo_count_rows_1m
    WHERE slo GLOBAL IN (SELECT slo FROM concerned) AND slice_start GLOBAL IN (
        SELECT arrayJoin(arrayConcat(
            arrayMap(step -> before_start + toIntervalMinute(step), range(toUInt32(greatest(dateDiff('minute', before_start, before_end), 0)))),
            arrayMap(step -> after_start + toIntervalMinute(step), range(toUInt32(greatest(dateDiff('minute', after_start, after_end), 0)))),
            arrayMap(
                step -> after_start - toIntervalDay(7) + toIntervalMinute(step),
                range(toUInt32(greatest(dateDiff('minute', after_start, after_end), 0)))
            )
        ))
        FROM compared
    )
    GROUP BY slo, instance, revision, slice_start
) AS n ON n.slo = c.slo AND n.instance = c.instance
GROUP BY ALL
ORDER BY max(n.slice_start) DESC
LIMIT 1 BY service, change_id, slo, instance
