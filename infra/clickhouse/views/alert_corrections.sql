-- Which alerts were judged on time that corrections leave out. On a cluster a shard must work out the window, and it cannot
-- give a moment as leadInFrame's default: what comes behind the last event is filled in outside of it. Ranges are one array:
-- labels are looked at only where times overlap, which a join of all events with all ranges would do for each pair.

CREATE OR REPLACE VIEW alert_corrections (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    dedup_key String COMMENT 'the alert',
    sequence Int64 COMMENT 'number of the event in its alert',
    started_at DateTime64(6, 'UTC') COMMENT 'event time at which the alert fired',
    correction String COMMENT 'a correction in force of time that the event was judged on, or that passed until the next one'
) AS
WITH (
    SELECT groupArray((correction, range_start, range_end, where_labels, where_values, where_none_of, where_prefixes))
    FROM correction_ranges
) AS ranges
SELECT DISTINCT
    e.slo AS slo,
    e.dedup_key AS dedup_key,
    e.sequence AS sequence,
    e.started_at AS started_at,
    ranges[place].1 AS correction
FROM (
    SELECT
        slo, dedup_key, sequence, started_at,
        window_end - toIntervalSecond(greatest(long_window_s, 1)) AS since,
        if(event = 'RESOLVED', window_end, ifNull(leadInFrame(toNullable(window_end), 1) OVER (
            PARTITION BY slo, dedup_key, started_at ORDER BY sequence ROWS BETWEEN CURRENT ROW AND 1 FOLLOWING
        ), now64(6, 'UTC'))) AS until,
        mapConcat(CAST(labels, 'Map(String, String)'), map('slo', slo, 'service', service)) AS names
    FROM alert_events FINAL
) AS e
ARRAY JOIN arrayFilter(
    (place, range_start, range_end) -> range_start < e.until AND range_end > e.since,
    arrayEnumerate(ranges), ranges.2, ranges.3
) AS place
WHERE arrayAll(
    (label, values, none_of, prefixes) -> has(mapKeys(e.names), label)
        AND (empty(values) OR has(values, e.names[label])) AND NOT has(none_of, e.names[label])
        AND (empty(prefixes) OR arrayExists(prefix -> startsWith(e.names[label], prefix), prefixes)),
    ranges[place].4, ranges[place].5, ranges[place].6, ranges[place].7
)
COMMENT 'Alerts and corrections: one row is an event of an alert and a correction it falls into; none silences an alert';
