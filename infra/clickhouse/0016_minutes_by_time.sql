-- Corrections read some minutes of all instances of an SLO; the table is ordered by instance first, so every minute of 30
-- days had to be looked at. The same rows once more, by time within an SLO. Parts that are there get theirs in the
-- background; a merge that sums rows makes the projection anew.

ALTER TABLE counts_1m MODIFY SETTING deduplicate_merge_projection_mode = 'rebuild';
ALTER TABLE counts_1m ADD PROJECTION IF NOT EXISTS by_time (
    SELECT slo, slice_start, instance, revision, good, bad, excluded ORDER BY (slo, slice_start)
);
ALTER TABLE counts_1m MATERIALIZE PROJECTION by_time SETTINGS mutations_sync = 0;
