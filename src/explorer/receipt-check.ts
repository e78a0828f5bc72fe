/** A receipt, verified alone as far as that goes, and with the envelope that was sent where it was dropped too. */
import { fromBase64, toUtf8 } from '../core/bytes.ts'
import { parseCheckpoint } from '../core/checkpoint.ts'
import { parseEnvelope } from '../core/dsse.ts'
import { TreelineError } from '../core/errors.ts'
import { type Hash, leafHash } from '../core/merkle.ts'
import { parseNote } from '../core/note.ts'
import { verifyProof } from '../core/proof-file.ts'
import { type Receipt, verifyReceipt } from '../core/receipt.ts'
import { withoutQuorum } from '../core/witness-policy.ts'
import type { KnownFile } from './file-kind.ts'
import { describeEntry, type FileReport, type NamedKeys, noKey, signedBy } from './file-report.ts'
import { checkWitnesses } from './head.ts'
import type { Trust } from './trust.ts'
import { messageOf, type Step } from './verdict.ts'

const wrong = (what: string): TreelineError => new TreelineError('MALFORMED_PROOF', `not a receipt: ${what}`)

function bytesOf(value: unknown, name: string): Uint8Array {
  const bytes = typeof value === 'string' ? fromBase64(value) : undefined
  if (bytes === undefined) throw wrong(`${name} is not base64`)
  return bytes
}

function parse({ document = {} }: KnownFile): Receipt {
  const { origin, index, entry, salt = '', hashes, checkpoint, witnessed } = document
  if (typeof origin !== 'string' || typeof checkpoint !== 'string' || typeof witnessed !== 'boolean')
    throw wrong('a part is missing')
  if (!Number.isSafeInteger(index) || (index as number) < 0) throw wrong('its index is no index')
  if (!Array.isArray(hashes) || hashes.length > 64) throw wrong('its hashes are no proof')
  return {
    origin,
    index: index as number,
    entry: bytesOf(entry, 'its entry'),
    salt: bytesOf(salt, 'its salt'),
    hashes: hashes.map((hash): Hash => bytesOf(hash, 'a hash')),
    checkpoint,
    witnessed,
  }
}

export function checkReceipt(file: KnownFile, trust: Trust, named: NamedKeys, files: readonly KnownFile[]): FileReport {
  const receipt = parse(file)
  const { origin } = parseCheckpoint(parseNote(toUtf8(receipt.checkpoint)).text)
  if (origin !== receipt.origin) throw new TreelineError('INVALID_PROOF', 'it names another origin than its head')
  const what = `Receipt for entry ${receipt.index} of ${origin}`
  const facts = describeEntry(receipt.entry)
  const pinned = trust.of(origin, named(origin))
  const report = (steps: readonly Step[]): FileReport => ({ name: file.name, what, facts, steps })
  if (pinned.policy.logs.length === 0) return report([noKey(origin)])
  const proof = { index: BigInt(receipt.index), hashes: receipt.hashes, checkpoint: toUtf8(receipt.checkpoint) }
  const checkpoint = verifyProof(proof, leafHash(receipt.entry), withoutQuorum(pinned.policy))
  const detail = `Its bytes lead over ${receipt.hashes.length} hashes to the root of a head of ${checkpoint.checkpoint.size} entries.`
  return report([
    { title: 'Its entry is in the tree', state: 'verified', detail },
    signedBy(pinned, origin, 'this server'),
    receipt.witnessed
      ? checkWitnesses(pinned, checkpoint)
      : {
          title: 'Witnesses have cosigned it',
          state: 'absent',
          detail: 'It was given before witnesses saw it: it is the promise of the log alone.',
        },
    checkEnvelope(
      receipt,
      files.filter(({ kind }) => kind === 'envelope'),
      pinned.policy,
    ),
  ])
}

function checkEnvelope(
  receipt: Receipt,
  envelopes: readonly KnownFile[],
  policy: Parameters<typeof verifyReceipt>[2],
): Step {
  const title = 'It is for the event that was sent'
  if (envelopes.length === 0)
    return { title, state: 'unverified', detail: 'Drop the signed envelope with it: a receipt holds only its digest.' }
  const reasons = envelopes.map(({ name, bytes }) => {
    try {
      verifyReceipt(receipt, parseEnvelope(bytes), withoutQuorum(policy))
      return { name, why: undefined }
    } catch (error) {
      return { name, why: messageOf(error) }
    }
  })
  const match = reasons.find(({ why }) => why === undefined)
  return match !== undefined
    ? { title, state: 'verified', detail: `The entry commits to ${match.name}, and says of it what it says itself.` }
    : { title, state: 'failed', detail: `${reasons.map(({ name, why }) => `${name}: ${why}`).join('; ')}.` }
}
