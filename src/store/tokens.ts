/**
 * DATA/tokens.json: who may read. A token is `tl_`, an id that lists and logs may show, and 256 random bits; the file has its SHA-256
 * only, so that a copy of the folder opens nothing.
 */
import { hash, randomBytes, timingSafeEqual } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fchownSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { fromHex } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'
import { readSecretFile } from './secret-file.ts'
import { syncPath } from './sync-path.ts'

/**
 * `tree`: checkpoints, tiles, entries, proofs, metadata of events. `payload`: also signed documents and evidence. `metrics`: of the
 * whole server, and nothing of its logs.
 */
export type TokenScope = (typeof TOKEN_SCOPES)[number]
export const TOKEN_SCOPES = ['tree', 'payload', 'metrics'] as const

/** A token has one for each set of logs that it opens in the same way. */
export interface TokenRule {
  /** 8 lowercase hex digits. */
  readonly id: string
  /** Of the whole token, lowercase hex. */
  readonly sha256: string
  readonly logs: readonly string[]
  readonly scopes: readonly TokenScope[]
  /** ms since the Unix epoch. */
  readonly created: number
}

export const tokensFile = (data: string): string => join(data, 'tokens.json')

const digestOf = (token: string): Uint8Array => hash('sha256', token, 'buffer')

/** A new token and what the file keeps of it. */
export function mintToken(
  logs: readonly string[],
  scopes: readonly TokenScope[],
  now: number,
): { token: string; rule: TokenRule } {
  const id = randomBytes(4).toString('hex')
  const token = `tl_${id}_${randomBytes(32).toString('base64url')}`
  return { token, rule: { id, sha256: Buffer.from(digestOf(token)).toString('hex'), logs, scopes, created: now } }
}

/** Tokens as they are looked up: by the id, which is no secret, and then by a comparison that takes the same time for any digest. */
export class TokenSet {
  readonly #rules = new Map<string, TokenRule[]>()

  constructor(rules: readonly TokenRule[]) {
    for (const rule of rules) this.#rules.set(rule.id, [...(this.#rules.get(rule.id) ?? []), rule])
  }

  /** All rules of the token; none where it is not known. */
  find(token: string): readonly TokenRule[] {
    const [, id = ''] = /^tl_([0-9a-f]{8})_[A-Za-z0-9_-]{43}$/.exec(token) ?? []
    const digest = digestOf(token)
    return (this.#rules.get(id) ?? []).filter(({ sha256 }) => timingSafeEqual(digest, fromHex(sha256)!))
  }
}

/** Undefined when there is no file. Throws USAGE when it is not what `token add` writes, or open to others. */
export function readTokens(file: string): readonly TokenRule[] | undefined {
  if (!existsSync(file)) return undefined
  const text = readSecretFile(file).toString()
  try {
    const rules = (JSON.parse(text) as { tokens: TokenRule[] }).tokens
    // One spelling: a member that was mistyped by hand must not be passed over.
    if (formatTokens(rules.map(checked)) === text) return rules
  } catch {
    // Said below.
  }
  throw new TreelineError('USAGE', `${file} is not what "token add" writes: move it away and make the tokens again`)
}

function checked({ id, sha256, logs, scopes, created }: TokenRule): TokenRule {
  const known = scopes.every((scope) => TOKEN_SCOPES.includes(scope)) && logs.every((log) => typeof log === 'string')
  if (!known || !/^[0-9a-f]{8}$/.test(id) || !/^[0-9a-f]{64}$/.test(sha256) || !Number.isSafeInteger(created))
    throw new TypeError('not a token')
  return { id, sha256, logs, scopes, created }
}

const formatTokens = (tokens: readonly TokenRule[]): string => `${JSON.stringify({ tokens }, null, 2)}\n`

/** Replaces the file as a whole: a server that reads it meanwhile finds the old one or the new one. */
export function changeTokens(file: string, change: (rules: readonly TokenRule[]) => readonly TokenRule[]): void {
  const next = `${file}.new`
  let handle: number
  try {
    // It exists while one command works, so that of two at once neither loses what the other wrote.
    handle = openSync(next, 'wx', 0o600)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
    throw new TreelineError('USAGE', `another command changes the tokens: try again, or delete ${next} if none does`)
  }
  try {
    writeFileSync(handle, formatTokens(change(readTokens(file) ?? [])))
    fsyncSync(handle)
    // An administrator who works as root must not lock out the user that the server runs as.
    const { uid, gid } = statSync(dirname(file))
    if (process.geteuid?.() === 0) fchownSync(handle, uid, gid)
    renameSync(next, file)
  } catch (error) {
    rmSync(next)
    throw error
  } finally {
    closeSync(handle)
  }
  syncPath(dirname(file))
}
