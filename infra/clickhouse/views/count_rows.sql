-- Counts for questions about many SLO instances: grouping each slice of each first, as slo_counts_1m and slo_counts_1h do,
-- costs twenty times as much as the sums that are wanted.

CREATE OR REPLACE VIEW slo_count_rows_1m (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of its indicator',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    slice_start DateTime64(6, 'UTC') COMMENT 'start of the 1 minute slice, event time',
    good Int64 COMMENT 'events in target: a part of them, add them up',
    bad Int64 COMMENT 'events out of target: a part of them, add them up',
    excluded Int64 COMMENT 'events that do not count: a part of them, add them up'
) AS
SELECT
    c.slo AS slo,
    c.revision AS revision,
    c.instance AS instance,
    c.slice_start AS slice_start,
    c.good AS good,
    c.bad AS bad,
    c.excluded AS excluded
FROM counts_1m AS c
COMMENT 'Counts as they are stored: an SLO instance and a 1 minute slice may have several rows, which add up to one of slo_counts_1m';

CREATE OR REPLACE VIEW slo_count_rows_1h (
    slo LowCardinality(String) COMMENT 'name of the SLO',
    revision LowCardinality(String) COMMENT 'revision of its indicator',
    instance LowCardinality(String) COMMENT 'values of its groupBy labels, as a=x,b=y',
    slice_start DateTime64(6, 'UTC') COMMENT 'start of the 1 hour slice, event time',
    good Int64 COMMENT 'events in target: a part of them, add them up',
    bad Int64 COMMENT 'events out of target: a part of them, add them up',
    excluded Int64 COMMENT 'events that do not count: a part of them, add them up'
) AS
SELECT
    c.slo AS slo,
    c.revision AS revision,
    c.instance AS instance,
    c.slice_start AS slice_start,
    c.good AS good,
    c.bad AS bad,
    c.excluded AS excluded
FROM counts_1h AS c
COMMENT 'Counts as they are stored: an SLO instance and a 1 hour slice may have several rows, which add up to one of slo_counts_1h';
