/**
 * C2SP tlog-policy: which logs are trusted, and which witnesses must have cosigned a checkpoint of theirs.
 *
 *     log log.example/l+8c425583+AZOW… https://log.example/l
 *     witness W1 witness.example/w1+1f31822e+BDXI…
 *     witness W2 witness.example/w2+84153242+BDOM…
 *     group both all W1 W2
 *     quorum both
 *
 * Not the write policy, which says who may submit what and lives in the log; this one is the reader's own.
 */
import { equal, fromUtf8 } from './bytes.ts'
import { type Checkpoint, parseCheckpoint } from './checkpoint.ts'
import { cosignatureVerifier, parseCosignature } from './cosignature.ts'
import { ed25519NoteVerifier } from './ed25519.ts'
import { TreelineError } from './errors.ts'
import {
  COSIGNATURE_ED25519,
  COSIGNATURE_ML_DSA_44,
  ED25519,
  type Note,
  parseNote,
  type VerifierKey,
  verifyNote,
} from './note.ts'
import { parseVkey } from './vkey.ts'

interface PolicyLog {
  /** Its name is the origin of the log's checkpoints. */
  readonly key: VerifierKey
  readonly url?: string
}

export interface PolicyWitness {
  /** What this file calls the witness. */
  readonly name: string
  readonly key: VerifierKey
  /** Where checkpoints are submitted to it. */
  readonly url?: string
}

/** A group: at least `threshold` of its members. `quorum none` is the group of nobody with threshold 0. */
interface Group {
  readonly threshold: number
  readonly members: readonly (Group | PolicyWitness)[]
}

export interface WitnessPolicy {
  readonly logs: readonly PolicyLog[]
  readonly witnesses: readonly PolicyWitness[]
  readonly quorum: Group | PolicyWitness
}

interface Cosigner {
  readonly witness: PolicyWitness
  /** Seconds since the Unix epoch, as the witness says; 0 is no statement about time. */
  readonly timestamp: bigint
}

export interface VerifiedCheckpoint {
  readonly checkpoint: Checkpoint
  readonly note: Note
  /** Every listed witness whose cosignature verified, in the order of the note. */
  readonly cosigners: readonly Cosigner[]
}

/** The specification asks for 32 of each kind; this bounds the nesting of groups, and with it our stack. */
const MAX_DEFINITIONS = 1000
const MAX_POLICY_SIZE = 4_000_000

const NOBODY: Group = { threshold: 0, members: [] }
const LOG_TYPES = [ED25519, COSIGNATURE_ML_DSA_44]
const WITNESS_TYPES = [COSIGNATURE_ED25519, COSIGNATURE_ML_DSA_44]

/** The same trust in the log, asking for no witness: for what a log signs ahead of them. */
export const withoutQuorum = (policy: WitnessPolicy): WitnessPolicy => ({ ...policy, quorum: NOBODY })

const malformed = (why: string): TreelineError => new TreelineError('MALFORMED_WITNESS_POLICY', `not a policy: ${why}`)

/** One character per octet: names compare as octets, and need not be UTF-8. */
function octets(bytes: Uint8Array): string {
  let text = ''
  for (let i = 0; i < bytes.length; i += 0x2000) text += String.fromCharCode(...bytes.subarray(i, i + 0x2000))
  return text
}

/** How a field of octets reads: as UTF-8, or as it stands where it is none. */
const readable = (field: string): string => fromUtf8(Uint8Array.from(field, (c) => c.charCodeAt(0))) ?? field

/** Throws MALFORMED_WITNESS_POLICY. */
export function parseWitnessPolicy(bytes: Uint8Array): WitnessPolicy {
  if (bytes.length > MAX_POLICY_SIZE) throw malformed(`more than ${MAX_POLICY_SIZE} bytes`)
  const text = octets(bytes)
  if (/[^\t\n\x20-\x7e\x80-\xff]/.test(text)) throw malformed('a control character other than tab and newline')
  // A last line that was cut off could name another quorum.
  if (text !== '' && !text.endsWith('\n')) throw malformed('no newline at the end')

  const logs: PolicyLog[] = []
  const witnesses: PolicyWitness[] = []
  const named = new Map<string, Group | PolicyWitness>()
  const members = new Set<string>()
  let quorum: Group | PolicyWitness | undefined
  let definitions = 0

  const define = (name: string, value: Group | PolicyWitness): void => {
    if (name === 'none' || named.has(name)) throw malformed(`the name ${readable(name)} is taken`)
    named.set(name, value)
  }
  const lookUp = (name: string): Group | PolicyWitness => {
    const value = named.get(name)
    if (value === undefined) throw malformed(`${readable(name)} is not defined on an earlier line`)
    return value
  }
  const join = (name: string): Group | PolicyWitness => {
    const value = lookUp(name)
    // Counted in two places, one witness would be worth two.
    if (members.has(name)) throw malformed(`${readable(name)} is a member twice`)
    members.add(name)
    return value
  }

  for (const line of text.split('\n')) {
    const [keyword, ...fields] = line.split(/[ \t]+/).filter((field) => field !== '')
    if (keyword === undefined || keyword.startsWith('#')) continue
    if (++definitions > MAX_DEFINITIONS) throw malformed(`more than ${MAX_DEFINITIONS} definitions`)
    if (keyword === 'log' && (fields.length === 1 || fields.length === 2)) {
      const [vkey = '', url] = fields
      logs.push({ key: policyKey(vkey, LOG_TYPES, logs, witnesses), ...(url !== undefined && { url: readable(url) }) })
    } else if (keyword === 'witness' && (fields.length === 2 || fields.length === 3)) {
      const [name = '', vkey = '', url] = fields
      const key = policyKey(vkey, WITNESS_TYPES, witnesses, logs)
      const witness = { name: readable(name), key, ...(url !== undefined && { url: readable(url) }) }
      define(name, witness)
      witnesses.push(witness)
    } else if (keyword === 'group' && fields.length >= 3) {
      const [name = '', threshold = '', ...names] = fields
      // Members first, so that a group is not one of its own.
      const group = { members: names.map(join), threshold: parseThreshold(threshold, names.length) }
      define(name, group)
    } else if (keyword === 'quorum' && fields.length === 1) {
      if (quorum !== undefined) throw malformed('a second quorum line')
      const [name = ''] = fields
      quorum = name === 'none' ? NOBODY : lookUp(name)
    } else {
      throw malformed(`cannot read the line ${JSON.stringify(readable(line).slice(0, 100))}`)
    }
  }
  if (quorum === undefined) throw malformed('no quorum line')
  return { logs, witnesses, quorum }
}

type Id = Pick<VerifierKey, 'name' | 'keyId'>
const sameId = (a: Id, b: Id): boolean => a.name === b.name && equal(a.keyId, b.keyId)

/** A key that suits its role, and that no other line of that role holds under whatever name. */
function policyKey(
  vkey: string,
  types: readonly number[],
  sameRole: readonly { key: VerifierKey }[],
  otherRole: readonly { key: VerifierKey }[],
): VerifierKey {
  let key: VerifierKey
  try {
    key = parseVkey(readable(vkey))
  } catch (error) {
    throw error instanceof TreelineError ? malformed(error.message) : error
  }
  if (!types.includes(key.type))
    throw malformed(`the key of ${key.name} has type ${key.type}, not ${types.join(' or ')}`)
  for (const other of sameRole) {
    if (equal(other.key.publicKey, key.publicKey)) throw malformed(`the key of ${key.name} stands twice`)
  }
  // Four bytes of key id can be forged to collide; then a signature line would not say which key made it.
  for (const other of [...sameRole, ...otherRole]) {
    if (sameId(other.key, key) && !(other.key.type === key.type && equal(other.key.publicKey, key.publicKey))) {
      throw malformed(`two keys of ${key.name} have one key id`)
    }
  }
  return key
}

function parseThreshold(text: string, members: number): number {
  if (text === 'any') return 1
  if (text === 'all') return members
  const threshold = /^[1-9][0-9]*$/.test(text) ? Number(text) : 0
  if (threshold < 1 || threshold > members) throw malformed(`a threshold of ${readable(text)} for ${members} members`)
  return threshold
}

/** Whether these witnesses are enough. Recursion is no deeper than `MAX_DEFINITIONS`, and no member is counted twice: names join one group at most. */
export const quorumMet = (quorum: WitnessPolicy['quorum'], cosigned: ReadonlySet<PolicyWitness>): boolean =>
  'key' in quorum
    ? cosigned.has(quorum)
    : quorum.members.filter((member) => quorumMet(member, cosigned)).length >= quorum.threshold

/**
 * The checkpoint in a note, once the policy is content with it: a listed log of that origin has signed it and its
 * quorum has cosigned it. Lines of keys that the policy does not list are ignored. A failing line of a listed key sinks
 * the note, a witness's as well as a log's, as signed-note wants: an honest log checks each cosignature before it
 * publishes it, so a bad one is forgery or damage, and whoever could add it could as well have cut off the good ones.
 *
 * Throws MALFORMED_NOTE, MALFORMED_CHECKPOINT or UNVERIFIED_NOTE. There is no clock here: what the cosigners' times
 * mean is the caller's to judge.
 */
export function verifyCheckpoint(bytes: Uint8Array, policy: WitnessPolicy): VerifiedCheckpoint {
  const note = parseNote(bytes)
  const verifiers = [
    ...policy.logs.map(({ key }) => (key.type === ED25519 ? ed25519NoteVerifier(key) : cosignatureVerifier(key))),
    ...policy.witnesses.map(({ key }) => cosignatureVerifier(key)),
  ]
  const verified = verifyNote(note, verifiers).map(({ key }) => key)
  const checkpoint = parseCheckpoint(note.text)
  const { origin } = checkpoint
  if (!policy.logs.some(({ key }) => key.name === origin && verified.some((other) => sameId(key, other)))) {
    throw new TreelineError('UNVERIFIED_NOTE', `no log of the policy signed this checkpoint of ${origin} as ${origin}`)
  }
  // Verified are all lines of listed keys, or none.
  const cosigners = note.signatures.flatMap((line): Cosigner[] => {
    const witness = policy.witnesses.find(({ key }) => sameId(key, line))
    return witness ? [{ witness, timestamp: parseCosignature(witness.key.type, line.signature).timestamp }] : []
  })
  if (!quorumMet(policy.quorum, new Set(cosigners.map(({ witness }) => witness)))) {
    throw new TreelineError('UNVERIFIED_NOTE', `the ${cosigners.length} known cosignatures are not the policy's quorum`)
  }
  return { checkpoint, note, cosigners }
}
