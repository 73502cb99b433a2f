-- The last push that a spoke's hub has kept.
ALTER TABLE clusters ADD COLUMN pushed {text} NOT NULL DEFAULT '';
