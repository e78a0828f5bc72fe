/**
 * One SQLite file for each log. 16 KiB pages: half the cost of 4 KiB ones for rows of this size. Entries stand in
 * one blob for each commit, framed as in a C2SP bundle and split where a bundle ends, so that a bundle is a concatenation; behind the
 * commits a bundle of events becomes one compressed row (packing.ts). Only full tiles are stored: the unfilled ones follow from them and from the last entries, and need no write at each commit.
 */
/** What entries are found by: key 7, or the leaf hash. */
export type DigestKind = 'addendum' | 'leaf'

export const APPLICATION_ID = 0x54726565
export const SCHEMA_VERSION = 5

/** Of a log and of its index. */
export const PAGE_BYTES = 16_384

/** Rows of a tile: two whole tiles do not fit a page, and half of each page would stay empty. */
export const TILE_ROWS = 4
/** The id of the first of them. */
export const tileRow = (level: number, index: number): number => level * 2 ** 48 + index * TILE_ROWS

/** Checkpoints that were published with a full quorum of witnesses, by size; time in ms since the Unix epoch. */
const CHECKPOINTS = `
CREATE TABLE checkpoints (
  size INTEGER PRIMARY KEY,
  time INTEGER NOT NULL,
  note TEXT NOT NULL
) STRICT;

CREATE INDEX checkpoints_by_time ON checkpoints (time);`

/**
 * 0 in a log that signs. A log that is made from a copy is FILLING until its root is the one that was witnessed, and then RESTORED for
 * ever: nothing here sets it back, and no commit moves a head where it is set. Programs of before version 3, which would not ask, cannot open the file.
 */
export const FILLING = 1
export const RESTORED = 2
const MARKER = `restored INTEGER NOT NULL DEFAULT 0 CHECK (restored IN (0, ${FILLING}, ${RESTORED}))`

/** Entries below it stand in compressed rows, a whole bundle each: see packing.ts. */
const PACKED = 'packed INTEGER NOT NULL DEFAULT 0'

/** The filters of the runs of addenda (id = run * 2^32 + number of the piece): see digest-filter.ts. */
const FILTERS = `
CREATE TABLE addendum_run_filters (
  id INTEGER PRIMARY KEY,
  bits BLOB NOT NULL
) STRICT;`

/** What makes a file of an earlier version one of the next, by the version that it has. */
export const MIGRATIONS: Readonly<Record<number, string>> = {
  1: CHECKPOINTS,
  2: `ALTER TABLE log ADD COLUMN ${MARKER}`,
  3: `ALTER TABLE log ADD COLUMN ${PACKED}`,
  4: FILTERS,
}

/** Sorted runs of digests of the entries [first, last), and their pages (id = run * 2^32 + page): see digests.ts. */
const digestTables = (kind: DigestKind): string => `
CREATE TABLE ${kind}_runs (
  id INTEGER PRIMARY KEY,
  level INTEGER NOT NULL,
  first INTEGER NOT NULL,
  last INTEGER NOT NULL,
  pages INTEGER NOT NULL
) STRICT;

CREATE TABLE ${kind}_run_pages (
  id INTEGER PRIMARY KEY,
  keys BLOB NOT NULL
) STRICT;`

export const SCHEMA = `
CREATE TABLE log (
  id INTEGER PRIMARY KEY CHECK (id = 1),
  origin TEXT NOT NULL,
  profile TEXT NOT NULL,
  size INTEGER NOT NULL,
  root BLOB NOT NULL,
  time INTEGER NOT NULL,
  ${MARKER},
  ${PACKED}
) STRICT;

CREATE TABLE entries (
  first INTEGER PRIMARY KEY,
  count INTEGER NOT NULL,
  bundle BLOB NOT NULL
) STRICT;

-- A quarter of a full tile: id = level * 2^48 + index * 4 + quarter; 64 hashes and the 4 nodes of height 4 above them.
CREATE TABLE tiles (
  id INTEGER PRIMARY KEY,
  hashes BLOB NOT NULL,
  nodes BLOB NOT NULL
) STRICT;

CREATE TABLE addenda (
  entry INTEGER PRIMARY KEY,
  bytes BLOB NOT NULL
) STRICT;

-- An index named by the redaction entry at "by". The same transaction overwrote its bytes in addenda with zeros.
CREATE TABLE redactions (
  entry INTEGER PRIMARY KEY,
  by INTEGER NOT NULL
) STRICT;

-- The entries that are the genesis or a change of the write policy.
CREATE TABLE policies (
  entry INTEGER PRIMARY KEY
) STRICT;
${CHECKPOINTS}
${digestTables('addendum')}
${FILTERS}
${digestTables('leaf')}
`
