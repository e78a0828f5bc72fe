/** The write policy: the JSON document in the log that says who may submit what, who may redact, and who may change it. */
import { fromBase64, fromHex, toUtf8 } from './bytes.ts'
import { TreelineError } from './errors.ts'
import { type PublicKey, parsePublicKeyBase64 } from './keys.ts'
import { HASH_SIZE, type Hash } from './merkle.ts'
import type { VerifierKey } from './note.ts'
import { isPattern } from './pattern.ts'
import { isObject, type JsonObject } from './payload.ts'
import { parseJson } from './strict-json.ts'
import { parseVkey } from './vkey.ts'

export const WRITE_POLICY = 'application/vnd.treeline.write-policy.v1+json'

export interface Signer {
  readonly key: PublicKey
  /** A pseudonym: the log cannot forget it. */
  readonly name: string
  /** Other names under which envelopes may give the key. */
  readonly keyids: readonly string[]
  readonly types: readonly string[]
  readonly subjects: readonly string[]
  /** Half-open span of entry times, ms since the Unix epoch; null is no bound. */
  readonly notBefore: number | null
  readonly notAfter: number | null
  /** The key may stand in the policies of other logs of the server too. */
  readonly shared: boolean
  readonly suspended: Suspension | null
}

interface Suspension {
  /** When it was suspended, and from when on its signatures are doubted, ms since the Unix epoch. */
  readonly since: number
  readonly compromisedSince: number | null
}

/** The log that another one goes on from, as far as witnesses have seen it. */
export interface Predecessor {
  readonly origin: string
  /** At least 1. */
  readonly size: number
  readonly root: Hash
}

export interface WritePolicy {
  readonly origin: string
  /** 0 in the genesis, then one more each time. */
  readonly sequence: number
  /** The document it replaces: index and key 7 of its entry. Null in the genesis. */
  readonly previous: { readonly index: number; readonly sha256: Uint8Array } | null
  /** In the genesis alone, of a log that takes the place of another: what it succeeds never changes, so no later document says it. */
  readonly successorOf: Predecessor | null
  readonly logKeys: readonly VerifierKey[]
  readonly administrators: { readonly threshold: number; readonly keys: readonly PublicKey[] }
  /** Ids of administrators or signers; null leaves redaction to the administrators and their threshold. */
  readonly redactors: { readonly threshold: number; readonly keys: readonly string[] } | null
  readonly signers: readonly Signer[]
  readonly produces: readonly string[]
  readonly private: readonly string[]
}

const malformed = (why: string, cause?: unknown): TreelineError =>
  new TreelineError('MALFORMED_PAYLOAD', `not a write policy: ${why}`, {}, { cause })

/** Takes the payload of an envelope. Throws MALFORMED_PAYLOAD, DUPLICATE_JSON_KEY, TOO_DEEP. */
export function parseWritePolicy(payload: Uint8Array): WritePolicy {
  const document = object(parseJson(payload, 'MALFORMED_PAYLOAD'), 'the document', [
    'origin',
    'sequence',
    'previous',
    'successorOf',
    'logKeys',
    'administrators',
    'redactors',
    'signers',
    'produces',
    'private',
  ])
  const policy: WritePolicy = {
    origin: text(document.origin, 'origin'),
    sequence: integer(document.sequence, 'sequence'),
    previous: document.previous === null ? null : previous(document.previous),
    // Absent, never null: one spelling of "no predecessor".
    successorOf: document.successorOf === undefined ? null : predecessor(document.successorOf),
    logKeys: list(document.logKeys, 'logKeys').map((vkey) => keyIn(() => parseVkey(text(vkey, 'logKeys')))),
    administrators: administrators(document.administrators),
    redactors: document.redactors == null ? null : redactors(document.redactors),
    signers: list(document.signers, 'signers').map(signer),
    produces: patterns(document.produces ?? [], 'produces'),
    private: patterns(document.private ?? [], 'private'),
  }
  checkWhole(policy)
  return policy
}

function checkWhole(policy: WritePolicy): void {
  const { origin, sequence, previous, successorOf, logKeys, administrators, redactors, signers } = policy
  if ((sequence === 0) !== (previous === null)) throw malformed('sequence 0 and no previous go together')
  if (successorOf !== null && sequence !== 0) throw malformed('only the first document of a log has successorOf')
  if (successorOf?.origin === origin) throw malformed('a log does not succeed itself')
  if (logKeys.length === 0) throw malformed('no logKeys')
  for (const { name } of logKeys) if (name !== origin) throw malformed(`the log key of ${name} is not of ${origin}`)
  distinct(
    logKeys.map(({ publicKey }) => publicKey.join()),
    'logKeys',
  )
  const administratorIds = administrators.keys.map(({ id }) => id)
  const signerIds = signers.map(({ key }) => key.id)
  distinct(administratorIds, 'administrators')
  // An alias that is another key's id or alias would let one envelope name two keys.
  distinct([...signerIds, ...signers.flatMap(({ keyids }) => keyids)], 'signer ids and keyids')
  threshold(administrators.threshold, administratorIds.length, 'administrators')
  if (redactors !== null) {
    distinct(redactors.keys, 'redactors')
    threshold(redactors.threshold, redactors.keys.length, 'redactors')
    const known = new Set([...administratorIds, ...signerIds])
    for (const id of redactors.keys) {
      if (!known.has(id)) throw malformed(`the redactor ${id} is neither administrator nor signer`)
    }
  }
  const logs = new Set(logKeys.map(({ publicKey }) => publicKey.join()))
  for (const key of [...administrators.keys, ...signers.map((one) => one.key)]) {
    if (logs.has(key.raw.join())) throw malformed(`${key.id} is a key of the log itself`)
  }
}

function administrators(value: unknown): WritePolicy['administrators'] {
  const one = object(value, 'administrators', ['threshold', 'keys'])
  return {
    threshold: integer(one.threshold, 'administrators.threshold'),
    keys: list(one.keys, 'administrators.keys').map((entry) =>
      keyOf(object(entry, 'an administrator', ['id', 'publicKey'])),
    ),
  }
}

function redactors(value: unknown): WritePolicy['redactors'] {
  const one = object(value, 'redactors', ['threshold', 'keys'])
  return {
    threshold: integer(one.threshold, 'redactors.threshold'),
    keys: list(one.keys, 'redactors.keys').map((id) => text(id, 'redactors.keys')),
  }
}

function signer(value: unknown): Signer {
  const one = object(value, 'a signer', [
    'id',
    'name',
    'publicKey',
    'keyids',
    'types',
    'subjects',
    'notBefore',
    'notAfter',
    'shared',
    'suspended',
  ])
  const notBefore = one.notBefore == null ? null : integer(one.notBefore, 'notBefore')
  const notAfter = one.notAfter == null ? null : integer(one.notAfter, 'notAfter')
  if (notBefore !== null && notAfter !== null && notBefore >= notAfter)
    throw malformed('notBefore is not before notAfter')
  if (one.shared !== undefined && typeof one.shared !== 'boolean') throw malformed('shared is neither true nor false')
  return {
    key: keyOf(one),
    name: text(one.name, 'name'),
    keyids: list(one.keyids ?? [], 'keyids').map((alias) => text(alias, 'keyids')),
    types: patterns(one.types, 'types'),
    subjects: patterns(one.subjects, 'subjects'),
    notBefore,
    notAfter,
    shared: one.shared === true,
    suspended: one.suspended == null ? null : suspension(one.suspended),
  }
}

function suspension(value: unknown): Suspension {
  const one = object(value, 'suspended', ['since', 'compromisedSince'])
  return {
    since: integer(one.since, 'suspended.since'),
    compromisedSince: one.compromisedSince == null ? null : integer(one.compromisedSince, 'compromisedSince'),
  }
}

function previous(value: unknown): NonNullable<WritePolicy['previous']> {
  const one = object(value, 'previous', ['index', 'sha256'])
  const sha256 = fromHex(text(one.sha256, 'previous.sha256'))
  if (sha256?.length !== 32) throw malformed('previous.sha256 is not lowercase hex of 32 bytes')
  return { index: integer(one.index, 'previous.index'), sha256 }
}

function predecessor(value: unknown): Predecessor {
  const one = object(value, 'successorOf', ['origin', 'size', 'root'])
  const root = fromBase64(text(one.root, 'successorOf.root'))
  if (root?.length !== HASH_SIZE) throw malformed('successorOf.root is not base64 of 32 bytes')
  const size = integer(one.size, 'successorOf.size')
  if (size === 0) throw malformed('successorOf.size is 0: of nothing there is nothing to succeed')
  return { origin: text(one.origin, 'successorOf.origin'), size, root }
}

/** `id` is there for readers: it must be that of `publicKey`. */
function keyOf({ id, publicKey }: JsonObject): PublicKey {
  const key = keyIn(() => parsePublicKeyBase64(text(publicKey, 'publicKey')))
  const said = text(id, 'id')
  if (key.id !== said) throw malformed(`the id of a publicKey is ${key.id}, not ${said.slice(0, 64)}`)
  return key
}

/** A bad key is a bad document here, whatever it is elsewhere. */
function keyIn<T>(parse: () => T): T {
  try {
    return parse()
  } catch (error) {
    throw malformed((error as Error).message, error)
  }
}

function object(value: unknown, name: string, members: readonly string[]): JsonObject {
  if (!isObject(value)) throw malformed(`${name} is not an object`)
  // A member that a newer version understands could widen or narrow a right: never ignore one.
  for (const key of Object.keys(value)) {
    if (!members.includes(key)) throw malformed(`${name} has the unknown member ${JSON.stringify(key.slice(0, 64))}`)
  }
  return value
}

function list(value: unknown, name: string): readonly unknown[] {
  if (!Array.isArray(value)) throw malformed(`${name} is not an array`)
  return value
}

function text(value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '' || toUtf8(value).length > 4096) throw malformed(`${name} is not a text`)
  return value
}

function integer(value: unknown, name: string): number {
  if (!Number.isSafeInteger(value) || (value as number) < 0) throw malformed(`${name} is not a whole number`)
  return value as number
}

function patterns(value: unknown, name: string): readonly string[] {
  const all = list(value, name).map((pattern) => text(pattern, name))
  for (const pattern of all) {
    if (!isPattern(pattern)) throw malformed(`${name} has "${pattern}": a * may only end a pattern`)
  }
  return all
}

function distinct(values: readonly string[], name: string): void {
  if (new Set(values).size !== values.length) throw malformed(`${name} names one twice`)
}

function threshold(value: number, keys: number, name: string): void {
  if (value < 1 || value > keys) throw malformed(`the threshold of ${name} is ${value}, with ${keys} keys`)
}
