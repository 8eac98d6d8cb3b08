-- From format 4 to format 5. What is added here stands in schema.sql too; a test compares the two.

-- Earlier formats know one API.
ALTER TABLE runs ADD COLUMN api TEXT NOT NULL DEFAULT '/api/incidents/{id}';
