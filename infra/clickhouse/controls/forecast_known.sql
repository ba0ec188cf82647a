-- Up to when, in event time, everything is stored; null: nothing is
SELECT toUnixTimestamp(known_at) AS known_s, age_s FROM known_until
