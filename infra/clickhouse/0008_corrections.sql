-- Corrections: time that does not count against some SLO instances. They are rows: no count is ever changed, and views
-- say compliance with and without them (0009). The latest version of a correction counts; one that is withdrawn gets a
-- version more, and leaves its trace.

-- Which counts a judgement adds up.
ALTER TABLE statuses ADD COLUMN IF NOT EXISTS counts_revision Nullable(String);

CREATE TABLE IF NOT EXISTS correction_versions (
    correction String,
    version UInt32,
    state LowCardinality(String),
    reason String,
    who String,
    recorded_at DateTime64(6, 'UTC'),
    digest String,
    source String,
    times String,
    selects String,
    -- a condition on a label each: one of some values, none of others, of some prefix; an empty list says nothing
    where_labels Array(String),
    where_values Array(Array(String)),
    where_none_of Array(Array(String)),
    where_prefixes Array(Array(String)),
    -- what recurs is written out up to `known_until`
    starts Array(DateTime64(6, 'UTC')),
    ends Array(DateTime64(6, 'UTC')),
    known_until Nullable(DateTime64(6, 'UTC')),
    stored_at DateTime64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(stored_at)
ORDER BY (correction, version)
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Versions of corrections; read them through corrections and correction_ranges';

CREATE VIEW IF NOT EXISTS corrections (
    correction String COMMENT 'name of the correction',
    version UInt32 COMMENT 'each change of it, and its withdrawal, is a version more',
    is_in_force Bool COMMENT 'its latest version, and not withdrawn',
    state LowCardinality(String) COMMENT 'APPLIED or WITHDRAWN',
    reason String COMMENT 'why this time does not count; of a withdrawal: why it counts again',
    who String COMMENT 'who says so',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when this version was recorded',
    times String COMMENT 'when it is, as it is written',
    selects String COMMENT 'which SLO instances it is about',
    starts Array(DateTime64(6, 'UTC')) COMMENT 'first instants of its ranges',
    ends Array(DateTime64(6, 'UTC')) COMMENT 'ends of its ranges, which count again',
    known_until Nullable(DateTime64(6, 'UTC')) COMMENT 'how far what recurs is written out; null: it does not recur',
    source String COMMENT 'file and line it was read from'
) AS
SELECT
    v.correction AS correction,
    v.version AS version,
    v.state = 'APPLIED' AND v.version = max(v.version) OVER (PARTITION BY v.correction) AS is_in_force,
    v.state AS state,
    v.reason AS reason,
    v.who AS who,
    v.recorded_at AS recorded_at,
    v.times AS times,
    v.selects AS selects,
    v.starts AS starts,
    v.ends AS ends,
    v.known_until AS known_until,
    v.source AS source
FROM correction_versions AS v FINAL
COMMENT 'Corrections, applied and withdrawn: one row is a version of one';

CREATE VIEW IF NOT EXISTS correction_ranges (
    correction String COMMENT 'name of the correction',
    range_start DateTime64(6, 'UTC') COMMENT 'first instant that does not count',
    range_end DateTime64(6, 'UTC') COMMENT 'first instant that counts again',
    where_labels Array(String) COMMENT 'labels it selects by, slo and service among them; empty: every instance',
    where_values Array(Array(String)) COMMENT 'of each label: the values it may have; empty: any',
    where_none_of Array(Array(String)) COMMENT 'of each label: the values it must not have',
    where_prefixes Array(Array(String)) COMMENT 'of each label: how its values begin; empty: any way'
) AS
SELECT
    v.correction AS correction,
    range.1 AS range_start,
    range.2 AS range_end,
    v.where_labels AS where_labels,
    v.where_values AS where_values,
    v.where_none_of AS where_none_of,
    v.where_prefixes AS where_prefixes
FROM (
    SELECT
        correction,
        argMax(state, version) AS state,
        argMax(starts, version) AS starts,
        argMax(ends, version) AS ends,
        argMax(where_labels, version) AS where_labels,
        argMax(where_values, version) AS where_values,
        argMax(where_none_of, version) AS where_none_of,
        argMax(where_prefixes, version) AS where_prefixes
    FROM correction_versions FINAL
    GROUP BY correction
) AS v
ARRAY JOIN arrayZip(v.starts, v.ends) AS range
WHERE v.state = 'APPLIED'
COMMENT 'Time that does not count: one row is a range of a correction in force';
