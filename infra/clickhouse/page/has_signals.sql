-- Whether any control is stored
SELECT count() AS views FROM system.tables WHERE database = currentDatabase() AND name = 'signals'
