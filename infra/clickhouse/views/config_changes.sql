-- What was changed, as people and controls read it.

CREATE OR REPLACE VIEW config_changes (
    service LowCardinality(String) COMMENT 'service',
    change_id String COMMENT 'its name within the service',
    at DateTime64(6, 'UTC') COMMENT 'event time from which on it is in force',
    until Nullable(DateTime64(6, 'UTC')) COMMENT 'event time at which it ends, as of a maintenance; null: it lasts until something else is changed',
    kind LowCardinality(String) COMMENT 'DEPLOY, ROLLBACK, KNOB, SCALE, MAINTENANCE, PRICE or NOTE',
    title String COMMENT 'in a few words',
    request_model LowCardinality(String) COMMENT 'only of this model; empty: of all',
    variant LowCardinality(String) COMMENT 'only of this variant; empty: of all',
    region LowCardinality(String) COMMENT 'only in this region; empty: in all',
    before Map(String, String) COMMENT 'knob and its value until then, as far as it is known',
    after Map(String, String) COMMENT 'knob and its value from then on',
    knobs Array(String) COMMENT 'the same in words: batch: 8 -> 16; batch: 16 when it is not known what it was',
    actor String COMMENT 'who did it; empty: not told',
    url Nullable(String) COMMENT 'where to read more; null: not told',
    config_epoch Nullable(String) COMMENT 'which configuration is in force from then on: what ran under the same may be compared; null: not told',
    appended_at DateTime64(6, 'UTC') COMMENT 'when the broker took the record'
) AS
SELECT
    c.service AS service,
    c.change_id AS change_id,
    c.at AS at,
    c.until AS until,
    c.kind AS kind,
    c.title AS title,
    c.request_model AS request_model,
    c.variant AS variant,
    c.region AS region,
    c.before AS before,
    c.after AS after,
    arrayMap(
        knob -> concat(knob, ': ', multiIf(
            NOT mapContains(c.after, knob), concat(c.before[knob], ' -> nothing'),
            NOT mapContains(c.before, knob), c.after[knob],
            concat(c.before[knob], ' -> ', c.after[knob])
        )),
        arraySort(arrayDistinct(arrayConcat(mapKeys(c.before), mapKeys(c.after))))
    ) AS knobs,
    c.actor AS actor,
    c.url AS url,
    c.config_epoch AS config_epoch,
    c.appended_at AS appended_at
FROM change_records AS c FINAL
COMMENT 'Changes of services: one row is one change';
