-- Views that changed more than once stand in views/, each whole and once. `burnline migrate` runs a file there when its
-- content has changed, and after any migration.

CREATE TABLE IF NOT EXISTS view_files (
    name String,
    checksum String,
    applied_at DateTime64(6, 'UTC') DEFAULT now64(6)
)
ENGINE = ReplacingMergeTree(applied_at)
ORDER BY name
COMMENT 'Which files of infra/clickhouse/views have run, and their SHA-256';
