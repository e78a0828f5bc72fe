/** An events log without a server: entries, addenda and signed heads, made by the formats of the core alone. */
import { addendumHash, blinding, joinAddendum } from '../../src/core/addendum.ts'
import { BATCH_HEADER, BatchRoot, BatchTree, parseBatchHeader } from '../../src/core/batch.ts'
import type { BatchProof } from '../../src/core/batch-evidence.ts'
import { fromHex, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { formatCheckpoint } from '../../src/core/checkpoint.ts'
import { cosignatureSigner } from '../../src/core/cosignature.ts'
import { describe } from '../../src/core/describe.ts'
import { type Envelope, formatEnvelope, pae, parseEnvelope } from '../../src/core/dsse.ts'
import { ed25519NoteSigner } from '../../src/core/ed25519.ts'
import {
  addendumDigest,
  BATCH,
  decodeEntry,
  type Entry,
  EVENT,
  type EventEntry,
  encodeEntry,
  GENESIS,
  POLICY,
} from '../../src/core/entry.ts'
import type { Evidence } from '../../src/core/evidence.ts'
import {
  consistencyRanges,
  type Hash,
  inclusionRanges,
  leafHash,
  proveRanges,
  rootHash,
} from '../../src/core/merkle.ts'
import { COSIGNATURE_ED25519, type NoteSigner, signNote, verifierKey } from '../../src/core/note.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import type { PolicyInForce } from '../../src/core/policy-fold.ts'
import type { Receipt } from '../../src/core/receipt.ts'
import { canonicalSignature } from '../../src/core/signature.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy, type WitnessPolicy } from '../../src/core/witness-policy.ts'
import { parseWritePolicy } from '../../src/core/write-policy.ts'
import { Actor, policyDocument, type SignerRule, signedPolicy } from '../support/actors.ts'
import { readerOf } from './full-tree.ts'

export const ORIGIN = 'log.example/paper'
const WITNESS = 'witness.example/w'
export const SECRET = new Uint8Array(32).fill(7)

/** Signed, in canonical form. */
export function canonical(payloadType: string, payload: unknown, actors: readonly Actor[]): Envelope {
  const bytes = toUtf8(typeof payload === 'string' ? payload : JSON.stringify(payload))
  const signatures = actors
    .map((actor) => ({
      keyid: actor.key.id,
      signature: canonicalSignature(actor.key, actor.sign(pae(payloadType, bytes)))!,
    }))
    .sort((a, b) => (a.keyid < b.keyid ? -1 : 1))
  return { payloadType, payload: bytes, signatures }
}

export class PaperLog {
  readonly origin: string
  readonly key = new Actor()
  readonly witness = new Actor()
  readonly entries: Uint8Array[] = []
  readonly addenda: Uint8Array[] = []
  readonly policies: number[] = []
  current!: PolicyInForce
  document!: Record<string, unknown>
  /** Key 2 of what is added next. */
  time = 1_700_000_000_000
  readonly #signer: NoteSigner
  readonly #cosigner: NoteSigner

  constructor(administrators: readonly Actor[], signers: readonly SignerRule[], change: object = {}, origin = ORIGIN) {
    this.origin = origin
    this.#signer = ed25519NoteSigner(origin, this.key.key.raw, (message) => this.key.sign(message))
    const witnessKey = verifierKey(WITNESS, COSIGNATURE_ED25519, this.witness.key.raw)
    this.#cosigner = cosignatureSigner(
      witnessKey,
      (message) => this.witness.sign(message),
      () => 1_700_000_001n,
    )
    this.setPolicy(policyDocument(origin, this.vkey, administrators, signers, change), administrators)
  }

  get vkey(): string {
    return formatVkey(this.#signer.key)
  }

  trust(quorum: 'none' | 'w' = 'none'): WitnessPolicy {
    return parseWitnessPolicy(
      toUtf8(`log ${this.vkey}\nwitness w ${formatVkey(this.#cosigner.key)}\nquorum ${quorum}\n`),
    )
  }

  /** Adds whatever it is given, allowed or not; returns its index. */
  add(entry: Entry, addendum: Uint8Array): number {
    this.addenda.push(addendum)
    return this.entries.push(encodeEntry(entry)) - 1
  }

  setPolicy(document: Record<string, unknown>, signers: readonly Actor[]): number {
    const envelope = parseEnvelope(toUtf8(signedPolicy(document, signers)))
    const signatures = [...envelope.signatures].sort((a, b) => (a.keyid < b.keyid ? -1 : 1))
    const bytes = formatEnvelope({ ...envelope, signatures })
    const sha256 = addendumHash(bytes)
    const kind = this.entries.length === 0 ? GENESIS : POLICY
    const index = this.add({ kind, time: this.time, addendum: sha256 }, bytes)
    this.policies.push(index)
    this.current = { index, sha256, policy: parseWritePolicy(envelope.payload) }
    this.document = document
    return index
  }

  /** The document in force as it would follow itself, with changes. */
  next(change: object): Record<string, unknown> {
    const { index, sha256, policy } = this.current
    const previous = { index, sha256: Buffer.from(sha256).toString('hex') }
    return { ...this.document, sequence: policy.sequence + 1, previous, ...change }
  }

  /** `change` lets the entry say something else than the envelope does. */
  addEvent(envelope: Envelope, change: Partial<Entry> = {}): number {
    const document = formatEnvelope(envelope)
    const addendum = joinAddendum(blinding(SECRET, document), document)
    const keys = envelope.signatures.map(({ keyid }) => fromHex(keyid)!)
    const entry = {
      kind: EVENT,
      time: this.time,
      ...describe({ keys, payloadType: envelope.payloadType, payload: envelope.payload }, this.current.policy),
      addendum: addendumHash(addendum),
      policy: this.current.index,
      ...change,
    } as Entry
    return this.add(entry, addendum)
  }

  /**
   * Header and items; returns the index of the header. `change` lets entries say something else, or leaves items out (undefined); `signed` changes the
   * header document.
   */
  addBatch(
    payloads: readonly unknown[],
    actors: readonly Actor[],
    signed: object = {},
    change: (entry: EventEntry, position: number) => Entry | undefined = (entry) => entry,
    type: string = IN_TOTO,
  ): number {
    const addenda = payloads.map((payload, i) =>
      joinAddendum(new Uint8Array(16).fill(i), toUtf8(typeof payload === 'string' ? payload : JSON.stringify(payload))),
    )
    const root = BatchRoot.empty()
    for (const addendum of addenda) root.add(addendumHash(addendum))
    const whole = {
      origin: this.origin,
      payloadType: type,
      size: addenda.length,
      root: toBase64(root.root()),
      ...signed,
    }
    const envelope = canonical(BATCH_HEADER, whole, actors)
    const document = formatEnvelope(envelope)
    const keys = envelope.signatures.map(({ keyid }) => fromHex(keyid)!)
    const common = { time: this.time, keys, policy: this.current.index }
    const header = this.add(
      { kind: BATCH, ...common, payloadType: BATCH_HEADER, addendum: addendumHash(document) },
      document,
    )
    addenda.forEach((addendum, position) => {
      const payload = addendum.subarray(16)
      const entry = change(
        {
          kind: EVENT,
          ...common,
          ...describe({ keys, payloadType: type, payload }, this.current.policy),
          addendum: addendumHash(addendum),
          batch: { header, position },
        },
        position,
      )
      if (entry !== undefined) this.add(entry, addendum)
    })
    return header
  }

  #read(size: number) {
    return readerOf(this.entries.slice(0, size).map(leafHash))
  }

  note(size = this.entries.length): string {
    const root = rootHash(size, this.#read(size))
    return signNote(formatCheckpoint({ origin: this.origin, size: BigInt(size), root, extensions: [] }), [
      this.#signer,
      this.#cosigner,
    ])
  }

  inclusion(index: number, size = this.entries.length): Hash[] {
    return proveRanges(inclusionRanges(index, size), this.#read(size))
  }

  consistency(from: number, to = this.entries.length): Hash[] {
    return proveRanges(consistencyRanges(from, to), this.#read(to))
  }

  receipt(index: number, size = this.entries.length): Receipt {
    return {
      origin: this.origin,
      index,
      entry: this.entries[index]!,
      salt: this.addenda[index]!.subarray(0, 16),
      hashes: this.inclusion(index, size),
      checkpoint: this.note(size),
      witnessed: false,
    }
  }

  evidence(index: number, size = this.entries.length): Evidence {
    const policies = this.policies.filter((at) => at <= index)
    const batch = this.#batch(index, size)
    return {
      ...(batch && { batch }),
      index,
      hashes: this.inclusion(index, size),
      checkpoint: this.note(size),
      entry: this.entries[index]!,
      addendum: this.addenda[index]!,
      policies: policies.map((at) => ({
        index: at,
        entry: this.entries[at]!,
        document: this.addenda[at]!,
        hashes: this.inclusion(at, size),
      })),
    }
  }

  /** As a log makes it: from the entries beside it. */
  #batch(index: number, size: number): BatchProof | undefined {
    const entry = decodeEntry(this.entries[index]!)
    if (entry.kind !== EVENT || entry.batch === undefined) return undefined
    const { header, position } = entry.batch
    const document = this.addenda[header]!
    const { size: count } = parseBatchHeader(parseEnvelope(document))
    const items = this.entries.slice(header + 1, header + 1 + count)
    return {
      index: header,
      entry: this.entries[header]!,
      document,
      hashes: this.inclusion(header, size),
      path: new BatchTree(items.map(addendumDigest)).path(position),
    }
  }
}
