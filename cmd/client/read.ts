import { setTimeout as sleep } from 'node:timers/promises'
import { fetchEntry, fetchProof } from '../../src/client/reads.ts'
import { hashFile } from '../../src/client/statement.ts'
import type { Transport } from '../../src/client/transport.ts'
import { verifyFile } from '../../src/client/verify.ts'
import { type Command, EXIT, type Options, printable, usage } from '../cli.ts'
import {
  indexOf,
  JSON_FLAG,
  LOG_FLAGS,
  OUT_FLAG,
  oneOperand,
  readTrust,
  TRUST_FLAG,
  withTransport,
  writeOutput,
} from './common.ts'

const VERIFY_FLAG = { ...TRUST_FLAG, help: 'verify with this trust policy before anything is written', required: false }

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
  readonly batch?: { readonly header: number; readonly position: number }
  readonly payload?: string
  readonly redacted: { readonly index: number; readonly reason: string } | null
}

export const getCommand: Command = {
  name: 'get',
  operands: 'INDEX',
  summary: 'Prints one event as the log tells it. Nothing is verified: see evidence and verify.',
  flags: [...LOG_FLAGS, JSON_FLAG],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const event = await transport.json<EventText>(`v1/events/${indexOf(oneOperand(operands, 'INDEX'))}`)
      if (options.is('json')) console.log(JSON.stringify(event, null, 2))
      else for (const line of readable(event)) console.log(printable(line))
      return EXIT.done
    }),
}

export const proofCommand: Command = {
  name: 'proof',
  operands: 'INDEX|RECEIPT',
  summary: 'Writes a C2SP tlog-proof of one entry, for any verifier of that format.',
  flags: [...LOG_FLAGS, VERIFY_FLAG, OUT_FLAG],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const index = indexOf(oneOperand(operands, 'INDEX or RECEIPT'))
      const file = await fetchProof(transport, index)
      if (options.get('trust') !== undefined)
        verifyFile({ file, trust: readTrust(options), entry: await fetchEntry(transport, index) })
      writeOutput(options.get('out'), file)
      return EXIT.done
    }),
}

export const evidenceCommand: Command = {
  name: 'evidence',
  operands: 'INDEX|RECEIPT',
  summary: 'Fetches the evidence file of one entry: all that an offline verifier needs.',
  flags: [
    ...LOG_FLAGS,
    VERIFY_FLAG,
    { name: 'artifact', value: 'FILE', help: 'of the newest event that names this file, instead of an INDEX' },
    OUT_FLAG,
  ],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const index = await wantedIndex(transport, options, operands)
      const file = await transport.get(`v1/evidence/${index}`)
      if (options.get('trust') !== undefined) verifyFile({ file, trust: readTrust(options) })
      writeOutput(options.get('out'), file)
      return EXIT.done
    }),
}

interface Page {
  readonly events: readonly EventText[]
  readonly next: number | null
  readonly completeTo: number
  readonly checkpoint: string
}

/** How often to look whether the index has gone on, ms. */
const INDEX_LOOK = 100

/** The index of the server also knows artifacts that stand only in payloads, and files of manifests. */
async function wantedIndex(transport: Transport, options: Options, operands: readonly string[]): Promise<number> {
  const artifact = options.get('artifact')
  if (artifact === undefined) return indexOf(oneOperand(operands, 'INDEX or RECEIPT'))
  if (operands.length > 0) throw usage('give either an INDEX or --artifact')
  const digest = await hashFile(artifact)
  const path = `v1/events?artifact=sha256:${digest}&order=desc&limit=1`
  const end = performance.now() + transport.patience
  for (let at = ''; ; ) {
    const { events, next, completeTo, checkpoint }: Page = await transport.json(`${path}${at}`)
    if (events[0] !== undefined) return events[0].index
    // The index runs behind the log, and a page ends early where the server is short of time.
    const whole = next === null && completeTo >= Number(checkpoint.split('\n')[1])
    if (whole || performance.now() > end) throw usage(`no event of the log names the digest of ${artifact} (${digest})`)
    if (next === null) await sleep(INDEX_LOOK)
    at = next === null ? '' : `&from=${next}`
  }
}

function readable(event: EventText): string[] {
  const { index, kind, time, keys, type, artifacts, hidden, leafHash, envelope, batch, payload, redacted } = event
  const lines = [
    `entry ${index}: ${kind}${type ? ` of type ${type}` : ''}, ${new Date(time).toISOString()}`,
    ...keys.map((key) => `signed by ${key}`),
    ...artifacts.map(({ role, algorithm, digest }) => `${role} ${algorithm}:${digest}`),
    ...(hidden > 0 ? [`and ${hidden} more artifacts in the payload`] : []),
    `leaf hash ${leafHash}`,
    ...(batch ? [`item ${batch.position} of the batch at ${batch.header}`] : []),
  ]
  if (redacted !== null) lines.push(`redacted by entry ${redacted.index}: ${redacted.reason}`)
  const document = envelope?.payload ?? payload
  if (document !== undefined) lines.push(...Buffer.from(document, 'base64').toString().split('\n'))
  return lines
}
