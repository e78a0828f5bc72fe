/**
 * index.db: what is derived from the entries and addenda of one log, so that they can be searched. Nothing in it is believed by a verifier, and
 * nothing is lost with it.
 *
 * What entries say is in the tree for ever. What payloads say must be erasable without a trace, and SQLite leaves copies of rows in the gaps of pages
 * when it moves their neighbours. But it overwrites whole pages that it frees (secure_delete). So all that comes from payloads stands in tables
 * that are dropped for an erasure, and made again from what the log still has: text in one table for each TEXT_CHUNK entries, the others are small.
 */
export const INDEX_VERSION = 2
export const INDEX_APPLICATION_ID = 0x54726578

/** Entries whose text stands in one table. */
export const TEXT_CHUNK = 16_384

export const textTable = (chunk: number): string => `text_${chunk}`

/** Without the text itself: it can be found, not read. */
export const createText = (chunk: number): string =>
  `CREATE VIRTUAL TABLE ${textTable(chunk)} USING fts5(body, content='', columnsize=0)`

const rows = (name: string, columns: string): string =>
  `CREATE TABLE ${name} (${columns.replaceAll(',', ' INTEGER NOT NULL,')} INTEGER NOT NULL, PRIMARY KEY (${columns})) STRICT, WITHOUT ROWID;`

/** Artifacts that stand only in payloads, as in by_artifact. */
export const createBeyond = (name: string): string => rows(name, 'prefix, role, idx')

export const createMarks = (name: string): string => `
CREATE TABLE ${name} (
  origin TEXT NOT NULL,
  target INTEGER NOT NULL,
  idx INTEGER NOT NULL,
  kind TEXT NOT NULL,
  reason TEXT NOT NULL,
  PRIMARY KEY (origin, target, idx)
) STRICT, WITHOUT ROWID;`

export const INDEX_SCHEMA = `
-- Entries below size are in the index. Two leaf hashes say of which log: that of its first entry, and of the last one indexed.
CREATE TABLE state (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  size INTEGER NOT NULL,
  first BLOB,
  last BLOB
) STRICT;
INSERT INTO state VALUES (1, 0, NULL, NULL);

-- keys: ids of table keys, four bytes each; artifacts: see index-rows.ts; beyond: whether the payload may say more of artifacts.
CREATE TABLE events (
  idx INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  type INTEGER NOT NULL,
  policy INTEGER NOT NULL,
  beyond INTEGER NOT NULL,
  keys BLOB NOT NULL,
  artifacts BLOB NOT NULL
) STRICT;

CREATE TABLE types (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE algorithms (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
-- name: what the last write policy that lists the key calls its holder.
CREATE TABLE keys (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, signer TEXT) STRICT;

${rows('by_key', 'key, idx')}
${rows('by_type', 'type, idx')}
-- All but events.
${rows('by_kind', 'kind, idx')}
-- prefix: the first 48 bits of the digest; what is found is compared in full. role: that in lineage, where events has the role that the entry says.
${rows('by_artifact', 'prefix, role, idx')}
${createBeyond('beyond')}
${createMarks('marks')}

-- Chunks whose text was dropped for an erasure and is not there again.
CREATE TABLE pending (chunk INTEGER PRIMARY KEY) STRICT;
`
