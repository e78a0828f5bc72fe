/** The tables of a witness's state. */

/** "TLWi", so that `file` and a mistyped path can tell it from a log. */
export const APPLICATION_ID = 0x544c5769
export const SCHEMA_VERSION = 1

export const SCHEMA = `
CREATE TABLE witness (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  name TEXT NOT NULL,
  retention INTEGER NOT NULL,         -- how long what goes to write-once storage is locked, ms
  probes INTEGER NOT NULL DEFAULT 0   -- written where a write must be seen to succeed
) STRICT;

CREATE TABLE cosigned (
  origin TEXT PRIMARY KEY,
  hash TEXT NOT NULL UNIQUE,          -- of the origin, as URLs name it
  size TEXT NOT NULL,                 -- decimal u64
  root BLOB NOT NULL CHECK (length(root) = 32),
  time INTEGER NOT NULL,              -- of the cosignatures, seconds
  note TEXT NOT NULL                  -- the log's verified lines and our cosignatures
) STRICT, WITHOUT ROWID;

CREATE TABLE audited (
  origin TEXT PRIMARY KEY REFERENCES cosigned (origin),
  size INTEGER NOT NULL,
  subtrees BLOB NOT NULL,
  memory BLOB NOT NULL,               -- what the auditor must remember at that size
  note TEXT NOT NULL                  -- the cosigned head of that size
) STRICT, WITHOUT ROWID;

CREATE TABLE snapshots (
  origin TEXT PRIMARY KEY,
  size INTEGER NOT NULL,
  key TEXT NOT NULL,                  -- of the manifest, with its version
  version TEXT NOT NULL,
  locked INTEGER NOT NULL,            -- until when all that it needs is locked at least, ms
  sealed INTEGER NOT NULL             -- 1 once payloads were sealed with a key of ours
) STRICT, WITHOUT ROWID;

CREATE TABLE incidents (
  id INTEGER PRIMARY KEY,
  origin TEXT NOT NULL,
  kind TEXT NOT NULL,
  opened INTEGER NOT NULL,            -- ms
  evidence TEXT NOT NULL,
  cleared INTEGER,                    -- ms; cosigning is stopped while it is missing
  kept INTEGER NOT NULL DEFAULT 0     -- 1 once the evidence is in write-once storage
) STRICT;
CREATE INDEX open_incidents ON incidents (origin) WHERE cleared IS NULL;
`
