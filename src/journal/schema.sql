-- The journal's format. What changes here needs a step in format.rs. Times: `_wall` and `_at` in microseconds of Unix
-- time, others in microseconds since the machine started.

CREATE TABLE machine (
    boot_id TEXT NOT NULL                 -- the start of the machine in which all boot times below count
) STRICT;

CREATE TABLE processes (
    id INTEGER PRIMARY KEY AUTOINCREMENT, -- names its lock file
    started_wall INTEGER NOT NULL
) STRICT;

CREATE TABLE scopes (
    id INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    pause_until INTEGER,                  -- nothing is sent before
    pause_until_wall INTEGER,
    probe INTEGER                         -- the attempt that goes first when the pause is over
) STRICT;

CREATE TABLE runs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    name TEXT NOT NULL UNIQUE,
    state TEXT NOT NULL CHECK (state IN ('loading', 'ready', 'over')),
    process INTEGER NOT NULL,             -- who loads it
    scope INTEGER NOT NULL REFERENCES scopes (id),
    contract TEXT NOT NULL,
    digest BLOB,                          -- of its changes, in order
    plan TEXT,                            -- the checksum of the plan that it applies
    facts TEXT NOT NULL,                  -- JSON: what is needed to show it, to go on, and to make its results again
    created_wall INTEGER NOT NULL,
    finished_wall INTEGER,
    -- The path by which its API updates an incident: updates of another API are not the same change.
    api TEXT NOT NULL DEFAULT '/api/incidents/{id}'
) STRICT;

CREATE INDEX runs_same ON runs (scope, digest);
CREATE UNIQUE INDEX runs_plan ON runs (scope, plan) WHERE plan IS NOT NULL;

-- Plans whose runs were pruned: a plan is applied once.
CREATE TABLE applied_plans (
    scope INTEGER NOT NULL REFERENCES scopes (id),
    plan TEXT NOT NULL,                   -- its checksum
    run TEXT NOT NULL,                    -- the name of the run that applied it
    finished_wall INTEGER NOT NULL,
    PRIMARY KEY (scope, plan)
) STRICT, WITHOUT ROWID;

CREATE TABLE rows (
    run INTEGER NOT NULL,
    row INTEGER NOT NULL,
    line INTEGER NOT NULL,
    incident TEXT NOT NULL,               -- the id, or the cell that is none
    target INTEGER,                       -- the incident that is updated: this one, or the one it was merged into
    body TEXT,                            -- what is sent; none where the row is invalid
    asked TEXT,                           -- where the body is another one: what was asked for (list changes, properties already set)
    appends INTEGER NOT NULL,             -- whether it adds a comment
    source BLOB NOT NULL,                 -- the row's own bytes
    before TEXT,                          -- JSON: what its incident looked like, where that was read
    plan_snapshot TEXT,                   -- the same, when its plan was made
    snapshot_at INTEGER,                  -- when that was read, if it differed from what the row asks for
    outcome TEXT,
    code TEXT,
    message TEXT,
    http_status INTEGER,
    request_id TEXT,
    finished_wall INTEGER,
    PRIMARY KEY (run, row)
) STRICT, WITHOUT ROWID;

CREATE TABLE attempts (
    id INTEGER PRIMARY KEY,
    scope INTEGER NOT NULL,
    run INTEGER NOT NULL,                 -- 0: for no run
    row INTEGER NOT NULL,                 -- 0: a look, for no row alone
    incident INTEGER NOT NULL,            -- 0: a list
    kind INTEGER NOT NULL,                -- 0: a read, 1: an update, 2: an update without its row's comment, 3: one step of several
    process INTEGER NOT NULL,
    started INTEGER NOT NULL,
    started_wall INTEGER NOT NULL,
    ended INTEGER,
    ended_wall INTEGER,
    verdict TEXT,
    http_status INTEGER,
    request_id TEXT,
    applied INTEGER,                      -- of an update that has ended: 1 applied, 0 not applied, NULL in doubt
    step INTEGER NOT NULL DEFAULT 0       -- 1: the comment of a row with several steps
) STRICT;

-- The quota's ledger: the calls under way, and the last ones that ended.
CREATE INDEX attempts_open ON attempts (scope) WHERE ended IS NULL;
CREATE INDEX attempts_ended ON attempts (scope, ended) WHERE ended IS NOT NULL;
-- What was made of an incident, and how often it was tried.
CREATE INDEX attempts_incident ON attempts (scope, incident);
-- The calls of a run, for its list and its last one.
CREATE INDEX attempts_run ON attempts (run);
