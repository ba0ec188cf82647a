-- Whether any correction leaves out any time
SELECT count() > 0 AS is_there FROM correction_ranges
