import { setTimeout as sleep } from 'node:timers/promises'
import { hashFile } from '../../src/client/statement.ts'
import type { Transport } from '../../src/client/transport.ts'
import { fromBase64, toUtf8 } from '../../src/core/bytes.ts'
import { formatProof } from '../../src/core/proof-file.ts'
import { type Command, EXIT, type Options, usage } from '../cli.ts'
import { indexOperand, JSON_FLAG, LOG_FLAGS, withTransport, writeOutput } from './common.ts'

const OUT: Command['flags'][number] = {
  name: 'out',
  value: 'FILE',
  help: 'where to write; standard output when left out',
}

interface EventText {
  readonly index: number
  readonly kind: string
  readonly time: number
  readonly keys: readonly string[]
  readonly type: string | null
  readonly artifacts: readonly { readonly role: string; readonly algorithm: string; readonly digest: string }[]
  readonly hidden: number
  readonly leafHash: string
  readonly envelope: { readonly payload: string } | null
  readonly redacted: { readonly index: number; readonly reason: string } | null
}

export const getCommand: Command = {
  name: 'get',
  operands: 'INDEX',
  summary: 'Prints one event. Nothing is verified: see evidence and verify.',
  flags: [...LOG_FLAGS, JSON_FLAG],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const event = await transport.json<EventText>(`v1/events/${indexOperand(operands)}`)
      if (options.is('json')) console.log(JSON.stringify(event, null, 2))
      else console.log(readable(event))
      return EXIT.done
    }),
}

export const proofCommand: Command = {
  name: 'proof',
  operands: 'INDEX',
  summary: 'Writes a C2SP tlog-proof of one entry, for any verifier of that format.',
  flags: [...LOG_FLAGS, OUT],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const index = indexOperand(operands)
      const checkpoint = await coveringCheckpoint(transport, index)
      const { hashes } = await transport.json<{ hashes: readonly string[] }>(
        `v1/proofs/inclusion?index=${index}&size=${checkpoint.size}`,
      )
      const proof = formatProof({
        index: BigInt(index),
        hashes: hashes.map((hash) => fromBase64(hash)!),
        checkpoint: toUtf8(checkpoint.note),
      })
      writeOutput(options.get('out'), proof)
      return EXIT.done
    }),
}

export const evidenceCommand: Command = {
  name: 'evidence',
  operands: 'INDEX',
  summary: 'Fetches the evidence file of one entry: all that an offline verifier needs.',
  flags: [
    ...LOG_FLAGS,
    { name: 'artifact', value: 'FILE', help: 'of the newest event that names this file, instead of an INDEX' },
    OUT,
  ],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const index = await wantedIndex(transport, options, operands)
      writeOutput(options.get('out'), (await transport.get(`v1/evidence/${index}`)).body)
      return EXIT.done
    }),
}

/** Looks through the list of events, newest page last: the log has no search yet. */
async function wantedIndex(transport: Transport, options: Options, operands: readonly string[]): Promise<number> {
  const file = options.get('artifact')
  if (file === undefined) return indexOperand(operands)
  const digest = await hashFile(file)
  let found: number | undefined
  for (let from: number | null = 0; from !== null; ) {
    const page: { events: readonly EventText[]; next: number | null } = await transport.json(
      `v1/events?from=${from}&limit=1000`,
    )
    for (const { index, artifacts } of page.events) if (artifacts.some((one) => one.digest === digest)) found = index
    from = page.next
  }
  if (found === undefined) throw usage(`no event of the log shows the digest of ${file} (${digest})`)
  return found
}

/** The published checkpoint, once it covers the index. */
async function coveringCheckpoint(transport: Transport, index: number): Promise<{ note: string; size: number }> {
  for (let attempt = 0; ; attempt++) {
    const note = new TextDecoder().decode((await transport.get('checkpoint')).body)
    const size = Number(note.split('\n')[1])
    if (size > index) return { note, size }
    if (attempt === 10)
      throw usage(`the published checkpoint of size ${size} does not cover entry ${index} yet: ask again`)
    await sleep(300)
  }
}

function readable({
  index,
  kind,
  time,
  keys,
  type,
  artifacts,
  hidden,
  leafHash,
  envelope,
  redacted,
}: EventText): string {
  const lines = [
    `entry ${index}: ${kind}${type ? ` of type ${type}` : ''}, ${new Date(time).toISOString()}`,
    ...keys.map((key) => `signed by ${key}`),
    ...artifacts.map(({ role, algorithm, digest }) => `${role} ${algorithm}:${digest}`),
    ...(hidden > 0 ? [`and ${hidden} more artifacts in the payload`] : []),
    `leaf hash ${leafHash}`,
  ]
  if (redacted !== null) lines.push(`redacted by entry ${redacted.index}: ${redacted.reason}`)
  if (envelope !== null) lines.push(Buffer.from(envelope.payload, 'base64').toString())
  return lines.join('\n')
}
