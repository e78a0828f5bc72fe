/**
 * Which logs a witness follows, as its operator lists them:
 *
 *     {"logs":[{"vkeys":["log.example/l+8c425583+AZOW…"],"url":"https://log.example/l","tokenFile":"/etc/t","keeper":true,
 *               "genesis":"0a1b…","witnesses":["https://witness.example"]}]}
 *
 * The vkeys of one entry share one name, the origin. The list decides who is answered and nothing more: what was cosigned for an
 * origin that is gone from it stays in the state, and its log is answered 404.
 */
import { toHex } from '../src/core/bytes.ts'
import { MAX_ORIGIN_SIZE } from '../src/core/checkpoint.ts'
import { TreelineError } from '../src/core/errors.ts'
import { COSIGNATURE_ED25519, type VerifierKey } from '../src/core/note.ts'
import { parseJson } from '../src/core/strict-json.ts'
import { parseVkey } from '../src/core/vkey.ts'

export interface FollowedLog {
  readonly origin: string
  readonly keys: readonly VerifierKey[]
  /** Where it serves its entries, without a slash at the end. */
  readonly url: string | undefined
  /** A file with the token for reading them. */
  readonly tokenFile: string | undefined
  /** Whether payloads are read too. */
  readonly keeper: boolean
  /** Leaf hash of the first entry of an events log of ours, lowercase hex: without it entries have no meaning here. */
  readonly genesis: string | undefined
  /** Monitoring prefixes of other witnesses, whose view of the log is compared. */
  readonly witnesses: readonly string[]
}

const malformed = (why: string): TreelineError => new TreelineError('USAGE', `not a list of logs: ${why}`)

/** Takes the keys that the witness signs with. Throws USAGE for the first thing that is wrong. */
export function parseLogList(bytes: Uint8Array, own: readonly VerifierKey[]): FollowedLog[] {
  const { logs } = members(readJson(bytes), 'the document', ['logs'])
  if (!Array.isArray(logs)) throw malformed('"logs" is not an array')
  const list = logs.map((entry, i) => parseEntry(entry, `log ${i + 1}`))
  const origins = new Set<string>()
  const taken = new Map(own.map((key) => [toHex(key.publicKey), 'the witness']))
  for (const { origin, keys } of list) {
    if (origins.has(origin)) throw malformed(`two entries of ${origin}: put all its keys into one`)
    origins.add(origin)
    for (const { publicKey } of keys) {
      const key = toHex(publicKey)
      const holder = taken.get(key)
      if (holder !== undefined) throw malformed(`a key of ${origin} is already one of ${holder}`)
      taken.set(key, origin)
    }
  }
  return list
}

function readJson(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes, 'USAGE')
  } catch (error) {
    throw error instanceof TreelineError ? malformed(error.message) : error
  }
}

function parseEntry(entry: unknown, where: string): FollowedLog {
  const {
    vkeys,
    url,
    tokenFile,
    keeper = false,
    genesis,
    witnesses = [],
  } = members(entry, where, ['vkeys', 'url', 'tokenFile', 'keeper', 'genesis', 'witnesses'])
  if (!Array.isArray(vkeys) || vkeys.length === 0) throw malformed(`"vkeys" of ${where} is not an array with a key`)
  const keys = vkeys.map((vkey) => parseLogKey(vkey, where))
  const origin = keys[0]!.name
  if (keys.some(({ name }) => name !== origin)) throw malformed(`the keys of ${where} have several names`)
  if (Buffer.byteLength(origin) > MAX_ORIGIN_SIZE) throw malformed(`the origin of ${where} is too long`)
  if (url !== undefined && !isBase(url)) throw malformed(`"url" of ${where} is not the http or https URL of a log`)
  if (tokenFile !== undefined && (typeof tokenFile !== 'string' || tokenFile === '')) {
    throw malformed(`"tokenFile" of ${where} is not a file name`)
  }
  if (typeof keeper !== 'boolean') throw malformed(`"keeper" of ${where} is neither true nor false`)
  if (genesis !== undefined && (typeof genesis !== 'string' || !/^[0-9a-f]{64}$/.test(genesis)))
    throw malformed(`"genesis" of ${where} is not a hash in hex`)
  if (!Array.isArray(witnesses) || !witnesses.every(isBase)) throw malformed(`"witnesses" of ${where} are not URLs`)
  if (keeper && genesis === undefined) throw malformed(`${where} has no "genesis", so its payloads have no meaning`)
  if ((tokenFile !== undefined || keeper || witnesses.length > 0) && url === undefined)
    throw malformed(`${where} has no "url" to read from`)
  return { origin, keys, url: url?.replace(/\/$/, ''), tokenFile, keeper, genesis, witnesses }
}

function parseLogKey(vkey: unknown, where: string): VerifierKey {
  if (typeof vkey !== 'string') throw malformed(`a key of ${where} is not text`)
  let key: VerifierKey
  try {
    key = parseVkey(vkey)
  } catch (error) {
    throw error instanceof TreelineError ? malformed(`${where}: ${error.message}`) : error
  }
  // A log that signs with this type would make statements of a witness about itself.
  if (key.type === COSIGNATURE_ED25519) throw malformed(`a key of ${where} is that of a witness`)
  return key
}

function isBase(url: unknown): url is string {
  const parsed = typeof url === 'string' ? URL.parse(url) : null
  return parsed !== null && /^https?:$/.test(parsed.protocol) && parsed.search + parsed.hash + parsed.username === ''
}

function members(value: unknown, where: string, names: readonly string[]): Readonly<Record<string, unknown>> {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw malformed(`${where} is not an object`)
  for (const name of Object.keys(value)) {
    if (!names.includes(name)) throw malformed(`${where} has the unknown member "${name}"`)
  }
  return value as Record<string, unknown>
}
