/**
 * The manifest of a snapshot: the text of a note that the witness signs with its snapshot key. The text is JSON, one line for each object, and
 * names all that it takes to rebuild the log up to `size`: nothing but the manifest has to be found, or believed.
 *
 *     {"format":"urn:treeline:snapshot:v1","origin":"log.example/l","size":3,"audited":3,"root":"…","time":1767225600000,
 *      "packs":[],"subtrees":["…","…"],"objects":[
 *     {"kind":"entries","from":0,"to":3,"key":"…","version":"1","length":810,"sha256":"…","retainUntil":1988150400000},
 *     {"kind":"documents","from":0,"to":3,"key":"…", …},
 *     {"kind":"checkpoint","from":0,"to":3,"key":"…", …}
 *     ]}
 */
import { fromBase64, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { MAX_ORIGIN_SIZE, originHash } from '../../src/core/checkpoint.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { HASH_SIZE, type Hash, rangeNodes } from '../../src/core/merkle.ts'
import { type NoteSigner, type NoteVerifier, parseNote, signNote, verifyNote } from '../../src/core/note.ts'
import { parseJson } from '../../src/core/strict-json.ts'
import type { ObjectVersion } from './store.ts'

const FORMAT = 'urn:treeline:snapshot:v1'
/** 250 bytes an object, two or three objects a pack: logs of more than 10^9 entries. */
const MAX_MANIFEST_SIZE = 16 * 2 ** 20
/** Entries of a pack: one subtree of height 16. */
export const PACK_WIDTH = 65_536

const KINDS = ['entries', 'documents', 'checkpoint'] as const

/** An object of a snapshot. */
export interface SnapshotObject extends ObjectVersion {
  readonly kind: (typeof KINDS)[number]
  /** Indexes of the entries that it is about, half open. */
  readonly from: number
  readonly to: number
  /** Of its content, bytes. */
  readonly length: number
  /** Of its content, lowercase hex. */
  readonly sha256: string
  /** What its lock was when the manifest was signed, ms since the Unix epoch; it may be longer by now. */
  readonly retainUntil: number
}

export interface Manifest {
  readonly origin: string
  readonly size: number
  /** How far the witness had judged the entries. */
  readonly audited: number
  readonly root: Hash
  /** When it was made, ms since the Unix epoch. */
  readonly time: number
  /** The root of each full pack. */
  readonly packs: readonly Hash[]
  /** Hashes of the complete subtrees of the tree of `size`. */
  readonly subtrees: readonly Hash[]
  /** Entries in order without a gap, then documents in order, then the cosigned checkpoint. */
  readonly objects: readonly SnapshotObject[]
}

const malformed = (why: string): TreelineError =>
  new TreelineError('MALFORMED_SNAPSHOT', `not the manifest of a snapshot: ${why}`)

const digits = (n: number): string => String(n).padStart(20, '0')

/** Where the snapshots of an origin are, by ascending size. */
export const snapshotPrefix = (origin: string): string => `${originHash(origin)}/snapshot/`
export const snapshotFolder = (origin: string, size: number): string => `${snapshotPrefix(origin)}${digits(size)}/`
export const packFolder = (origin: string, first: number): string => `${originHash(origin)}/pack/${digits(first)}/`
export const faultFolder = (origin: string): string => `${originHash(origin)}/fault/`

const KEY = /^[0-9a-f]{64}\/(?:snapshot|pack)\/[0-9]{20}\/[0-9a-f]{16}-(entries|sealed|checkpoint)$/
/** The last part of the key of an object: sealed or not, documents go by the name that the format gives them. */
export const SUFFIX = { entries: 'entries', documents: 'sealed', checkpoint: 'checkpoint' } as const

export function formatManifest({ origin, size, audited, root, time, packs, subtrees, objects }: Manifest): string {
  const head = { format: FORMAT, origin, size, audited, root: toBase64(root), time }
  const hashes = { packs: packs.map(toBase64), subtrees: subtrees.map(toBase64) }
  const lines = objects.map(({ kind, from, to, key, version, length, sha256, retainUntil }) =>
    JSON.stringify({ kind, from, to, key, version, length, sha256, retainUntil }),
  )
  return `${JSON.stringify({ ...head, ...hashes }).slice(0, -1)},"objects":[\n${lines.join(',\n')}\n]}\n`
}

/** Takes a note's text. Throws MALFORMED_SNAPSHOT for anything that `formatManifest` does not make, or that does not fit together. */
export function parseManifest(text: string): Manifest {
  let manifest: Manifest
  try {
    manifest = read(parseJson(toUtf8(text), 'MALFORMED_SNAPSHOT') as Readonly<Record<string, unknown>>)
    if (formatManifest(manifest) === text) return fitting(manifest)
  } catch (error) {
    if (error instanceof TreelineError) throw error
    throw malformed((error as Error).message)
  }
  throw malformed('another spelling')
}

/** What only has the right members: types and spelling are judged by formatting it again. */
function read(json: Readonly<Record<string, unknown>>): Manifest {
  const hash = (text: unknown): Hash => {
    const bytes = fromBase64(String(text))
    if (bytes?.length !== HASH_SIZE) throw malformed('a hash is not base64 of 32 bytes')
    return bytes
  }
  const list = (value: unknown): unknown[] => {
    if (!Array.isArray(value)) throw malformed('a list is missing')
    return value
  }
  const { origin, size, audited, time } = json as unknown as Manifest
  return {
    ...{ origin, size, audited, root: hash(json.root), time },
    ...{ packs: list(json.packs).map(hash), subtrees: list(json.subtrees).map(hash) },
    objects: list(json.objects) as SnapshotObject[],
  }
}

function fitting(manifest: Manifest): Manifest {
  const { origin, size, audited, time, packs, subtrees, objects } = manifest
  const whole = (...numbers: number[]) => numbers.every((n) => Number.isSafeInteger(n) && n >= 0)
  if (typeof origin !== 'string' || origin === '' || Buffer.byteLength(origin) > MAX_ORIGIN_SIZE)
    throw malformed('no origin')
  if (!whole(size, audited, time) || audited > size) throw malformed('a number is none')
  if (packs.length !== Math.floor(size / PACK_WIDTH)) throw malformed('not one root for each pack')
  if (subtrees.length !== rangeNodes([0, size]).length) throw malformed('not the subtrees of its size')
  const next = { entries: 0, documents: 0, checkpoint: 0 }
  for (const { kind, from, to, key, version, length, sha256, retainUntil } of objects) {
    if (!KINDS.includes(kind) || !whole(from, to, length, retainUntil)) throw malformed('an object of another kind')
    if (typeof version !== 'string' || !/^[0-9a-f]{64}$/.test(sha256)) throw malformed('an object without a version')
    // A key of another origin, or one that does not name the content, would let two manifests share a lie.
    if (KEY.exec(key)?.[1] !== SUFFIX[kind] || !key.startsWith(`${originHash(origin)}/`)) throw malformed(`key ${key}`)
    if (!key.includes(`/${sha256.slice(0, 16)}-`)) throw malformed(`${key} is not the name of its content`)
    if (from < next[kind] || to <= from || to > size) throw malformed(`${kind} of ${from} to ${to}`)
    if (kind === 'entries' && from !== next.entries) throw malformed(`no entries of ${next.entries} to ${from}`)
    next[kind] = to
  }
  if (next.entries !== size || objects.at(-1)?.kind !== 'checkpoint' || next.checkpoint !== size)
    throw malformed('it does not reach its size')
  if (objects.filter(({ kind }) => kind === 'checkpoint').length !== 1) throw malformed('two checkpoints')
  return manifest
}

export const signManifest = (manifest: Manifest, signer: NoteSigner): Uint8Array =>
  toUtf8(signNote(formatManifest(manifest), [signer]))

/** Throws MALFORMED_NOTE, UNVERIFIED_NOTE and MALFORMED_SNAPSHOT. */
export function openManifest(bytes: Uint8Array, origin: string, verifier: NoteVerifier): Manifest {
  const note = parseNote(bytes, MAX_MANIFEST_SIZE)
  verifyNote(note, [verifier])
  const manifest = parseManifest(note.text)
  if (manifest.origin !== origin) throw malformed(`it is of ${manifest.origin}`)
  return manifest
}
