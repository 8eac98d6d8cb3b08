-- From format 2 to format 3. What is added here stands in schema.sql too; a test compares the two.

CREATE TABLE applied_plans (
    scope INTEGER NOT NULL REFERENCES scopes (id),
    plan TEXT NOT NULL,
    run TEXT NOT NULL,
    finished_wall INTEGER NOT NULL,
    PRIMARY KEY (scope, plan)
) STRICT, WITHOUT ROWID;
