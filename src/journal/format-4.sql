-- From format 3 to format 4. What is added here stands in schema.sql too; a test compares the two.

ALTER TABLE rows RENAME COLUMN planned TO plan_snapshot;
ALTER TABLE rows RENAME COLUMN read_wall TO snapshot_at;
ALTER TABLE attempts RENAME COLUMN updates TO kind;
ALTER TABLE attempts RENAME COLUMN made TO applied;
-- Rows of earlier formats are updated in one step.
ALTER TABLE attempts ADD COLUMN step INTEGER NOT NULL DEFAULT 0;
