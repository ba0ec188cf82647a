-- What a judgement is made of, so that views can leave time out of budgets of slices and of composites too.

ALTER TABLE statuses
    ADD COLUMN IF NOT EXISTS slice_us Nullable(Int64) AFTER counts_revision,
    ADD COLUMN IF NOT EXISTS slice_target Nullable(Float64) AFTER slice_us,
    ADD COLUMN IF NOT EXISTS counted_since Nullable(DateTime64(6, 'UTC')) AFTER slice_target,
    ADD COLUMN IF NOT EXISTS parts Array(String) AFTER counted_since,
    ADD COLUMN IF NOT EXISTS part_revisions Array(String) AFTER parts,
    ADD COLUMN IF NOT EXISTS part_weights Array(Int64) AFTER part_revisions;
