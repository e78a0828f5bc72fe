/** Keys, envelopes and policies for tests: real signatures by node:crypto. */
import { createPublicKey, generateKeyPairSync, type KeyObject, sign } from 'node:crypto'
import { toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { pae } from '../../src/core/dsse.ts'
import { type PublicKey, parsePublicKey } from '../../src/core/keys.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { REDACTION_REQUEST } from '../../src/core/redaction.ts'
import { WRITE_POLICY } from '../../src/core/write-policy.ts'

export class Actor {
  readonly privateKey: KeyObject
  readonly key: PublicKey

  constructor(algorithm: 'ed25519' | 'p256' = 'ed25519') {
    this.privateKey =
      algorithm === 'ed25519'
        ? generateKeyPairSync('ed25519').privateKey
        : generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
    const spki = createPublicKey(this.privateKey).export({ format: 'der', type: 'spki' })
    this.key = parsePublicKey(new Uint8Array(spki))
  }

  sign(message: Uint8Array): Uint8Array {
    return new Uint8Array(sign(this.key.algorithm === 'p256' ? 'sha256' : null, message, this.privateKey))
  }
}

/** A DSSE envelope as JSON text. `keyid` false leaves the key ids out. */
export function envelope(payloadType: string, payload: unknown, actors: readonly Actor[], keyid = true): string {
  const bytes = typeof payload === 'string' ? toUtf8(payload) : toUtf8(JSON.stringify(payload))
  return JSON.stringify({
    payloadType,
    payload: toBase64(bytes),
    signatures: actors.map((actor) => ({
      ...(keyid && { keyid: actor.key.id }),
      sig: toBase64(actor.sign(pae(payloadType, bytes))),
    })),
  })
}

export const TYPE = 'urn:treeline:test:v1'

/** An in-toto statement that names `subject`, one digest of 32 bytes made of `digit`, and whatever `predicate` adds. */
export const statement = (subject: string, predicate: object = {}, type = TYPE): object => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ name: subject, digest: { sha256: 'ab'.repeat(32) } }],
  predicateType: type,
  predicate,
})

export const event = (actor: Actor, subject: string, predicate: object = {}): string =>
  envelope(IN_TOTO, statement(subject, predicate), [actor])

const keyDocument = ({ key }: Actor) => ({ id: key.id, publicKey: toBase64(key.spki) })

export interface SignerRule {
  readonly actor: Actor
  readonly [member: string]: unknown
}

/** A write policy document. `change` replaces or adds members. */
export function policyDocument(
  origin: string,
  vkey: string,
  administrators: readonly Actor[],
  signers: readonly SignerRule[],
  change: object = {},
): Record<string, unknown> {
  return {
    origin,
    sequence: 0,
    previous: null,
    logKeys: [vkey],
    administrators: { threshold: administrators.length > 1 ? 2 : 1, keys: administrators.map(keyDocument) },
    redactors: null,
    signers: signers.map(({ actor, ...rest }) => ({
      ...keyDocument(actor),
      name: `signer-${actor.key.id.slice(0, 6)}`,
      keyids: [],
      types: ['*'],
      subjects: ['*'],
      notBefore: null,
      notAfter: null,
      shared: false,
      suspended: null,
      ...rest,
    })),
    produces: [],
    private: [],
    ...change,
  }
}

export const signedPolicy = (document: object, actors: readonly Actor[]): string =>
  envelope(WRITE_POLICY, document, actors)

export const redactionRequest = (
  origin: string,
  entries: readonly { index: number; leafHash: string }[],
  actors: readonly Actor[],
  reason = 'personal-data',
): string => envelope(REDACTION_REQUEST, { origin, entries, reason }, actors)
