-- Silences: which alerts are not told to anybody, from when until when. The latest version of one counts; to end one
-- early is a version more, whose end is now.

CREATE TABLE IF NOT EXISTS silence_versions (
    silence String,
    starts_at DateTime64(6, 'UTC'),
    ends_at DateTime64(6, 'UTC'),
    reason String,
    who String,
    recorded_at DateTime64(6, 'UTC'),
    -- a condition on a label each, as corrections have: one of some values, none of others, of some prefix
    where_labels Array(String),
    where_values Array(Array(String)),
    where_none_of Array(Array(String)),
    where_prefixes Array(Array(String))
)
ENGINE = ReplacingMergeTree(recorded_at)
ORDER BY silence
SETTINGS non_replicated_deduplication_window = 1000
COMMENT 'Silences; read them through silences';

CREATE VIEW IF NOT EXISTS silences (
    silence String COMMENT 'its name',
    is_in_force Bool COMMENT 'begun, and not over',
    starts_at DateTime64(6, 'UTC') COMMENT 'first instant at which nobody is told',
    ends_at DateTime64(6, 'UTC') COMMENT 'from here on they are told again',
    reason String COMMENT 'why',
    who String COMMENT 'who says so',
    recorded_at DateTime64(6, 'UTC') COMMENT 'when it was written, or changed last',
    where_labels Array(String) COMMENT 'labels it selects by; empty: every alert',
    where_values Array(Array(String)) COMMENT 'of each label: the values it may have; empty: any',
    where_none_of Array(Array(String)) COMMENT 'of each label: the values it must not have',
    where_prefixes Array(Array(String)) COMMENT 'of each label: how its values begin; empty: any way'
) AS
SELECT
    s.silence AS silence,
    s.starts_at <= now64(6, 'UTC') AND now64(6, 'UTC') < s.ends_at AS is_in_force,
    s.starts_at AS starts_at,
    s.ends_at AS ends_at,
    s.reason AS reason,
    s.who AS who,
    s.recorded_at AS recorded_at,
    s.where_labels AS where_labels,
    s.where_values AS where_values,
    s.where_none_of AS where_none_of,
    s.where_prefixes AS where_prefixes
FROM silence_versions AS s FINAL
COMMENT 'Silences, past ones too: one row is one silence';
