import cliProgress from 'cli-progress'
import type { Drained, Outcome, TreelineClient } from '../../src/client/client.ts'
import { receiptText } from '../../src/client/receipts.ts'
import { signEnvelope } from '../../src/client/signing-key.ts'
import { type FileRef, type Progress, statementOf } from '../../src/client/statement.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { CLOUDEVENTS, IN_TOTO } from '../../src/core/payload.ts'
import { type Command, EXIT, type Options, usage } from '../cli.ts'
import {
  JSON_FLAG,
  KEY_FLAG,
  LOG_FLAGS,
  readInput,
  readKeys,
  readTrust,
  STATE_FLAG,
  TRUST_FLAG,
  withClient,
  writeOutput,
} from './common.ts'

export const submitCommand: Command = {
  name: 'submit',
  summary: 'Signs an event about files and logs it. A log that is away never fails it: the event waits in the spool.',
  flags: [
    ...LOG_FLAGS,
    TRUST_FLAG,
    { ...KEY_FLAG, help: 'the signer; may be repeated' },
    { name: 'type', value: 'URI', help: 'predicate type of the statement that is made' },
    { name: 'produced', value: '[NAME=]FILE', help: 'a file that the step made', multiple: true },
    { name: 'consumed', value: '[NAME=]FILE', help: 'a file that the step read', multiple: true },
    { name: 'parameter', value: 'NAME=VALUE', help: 'a parameter of the step', multiple: true },
    { name: 'started', value: 'TIME', help: 'when the step began, RFC 3339' },
    { name: 'finished', value: 'TIME', help: 'when it ended, RFC 3339' },
    { name: 'statement', value: 'FILE', help: 'sign this in-toto Statement as it is, instead of making one' },
    { name: 'cloudevent', value: 'FILE', help: 'sign this CloudEvent as it is' },
    { name: 'receipt', value: 'FILE', help: 'write the receipt there too' },
    STATE_FLAG,
    JSON_FLAG,
  ],
  async run(options, operands) {
    if (operands.length > 0) throw usage(`submit takes no ${operands[0]}: name files by --produced and --consumed`)
    const envelope = await signedEvent(options)
    return withClient(options, async (client) => {
      const outcome = await client.submit(envelope)
      say(options, outcome)
      if (outcome.kind === 'logged') await settle(client)
      return EXIT.done
    })
  },
}

export const drainCommand: Command = {
  name: 'drain',
  summary: 'Sends the events that wait in the spool, and proves kept receipts against the published checkpoint.',
  flags: [...LOG_FLAGS, TRUST_FLAG, STATE_FLAG, JSON_FLAG],
  run: (options) =>
    withClient(options, async (client) => {
      const drained = await client.drain()
      sayDrained(options, drained)
      if (drained.reason !== undefined) throw drained.reason
      await client.settle()
      return drained.rejected.length > 0 ? EXIT.refused : EXIT.done
    }),
}

async function signedEvent(options: Options): Promise<Uint8Array> {
  const keys = readKeys(options)
  const statement = options.get('statement')
  const cloudevent = options.get('cloudevent')
  if (statement !== undefined) return signEnvelope(IN_TOTO, readInput(statement), keys)
  if (cloudevent !== undefined) return signEnvelope(CLOUDEVENTS, readInput(cloudevent), keys)
  const [log, ...others] = readTrust(options).logs
  if (log === undefined || others.length > 0)
    throw usage('the trust policy must list one log, whose name goes into the statement')
  const type = options.get('type')
  if (type === undefined) throw usage('give --type URI, or --statement FILE or --cloudevent FILE')
  const produced = options.all('produced').map(fileRef)
  if (produced.length === 0) throw usage('give at least one --produced FILE: an in-toto statement is about something')
  const started = options.get('started')
  const finished = options.get('finished')
  const bar = progressBar()
  try {
    const payload = await statementOf(
      {
        type,
        origin: log.key.name,
        produced,
        consumed: options.all('consumed').map(fileRef),
        parameters: Object.fromEntries(options.all('parameter').map(parameter)),
        ...(started && { startedOn: started }),
        ...(finished && { finishedOn: finished }),
      },
      bar.progress,
    )
    return signEnvelope(IN_TOTO, payload, keys)
  } finally {
    bar.stop()
  }
}

function fileRef(text: string): FileRef {
  const at = text.indexOf('=')
  return at < 0 ? { path: text } : { name: text.slice(0, at), path: text.slice(at + 1) }
}

/** A value that is a JSON number or truth value is taken as such, anything else is text. */
function parameter(text: string): [string, unknown] {
  const at = text.indexOf('=')
  if (at < 1) throw usage(`--parameter takes NAME=VALUE, not "${text}"`)
  const value = text.slice(at + 1)
  const plain = /^(true|false|-?(0|[1-9][0-9]*)(\.[0-9]+)?)$/.test(value)
  return [text.slice(0, at), plain ? JSON.parse(value) : value]
}

/** Files from which on hashing takes long enough to be watched, bytes. */
const LARGE = 64 * 2 ** 20

function progressBar(): { progress: Progress; stop(): void } {
  const bar = new cliProgress.SingleBar({
    format: 'hashing {file} {bar} {percentage}% {eta_formatted}',
    stream: process.stderr,
    clearOnComplete: true,
    hideCursor: null,
  })
  let current: string | undefined
  return {
    progress(file, done, size) {
      if (size < LARGE || !process.stderr.isTTY) return
      if (current !== file) bar.start(size, 0, { file })
      current = file
      bar.update(done)
      if (done === size) bar.stop()
    },
    stop: () => bar.stop(),
  }
}

function say(options: Options, outcome: Outcome): void {
  if (outcome.kind === 'spooled') {
    console.error(`treeline: ${outcome.reason.message} (${outcome.reason.code})`)
    console.log(
      options.is('json')
        ? JSON.stringify({ spooled: outcome.file })
        : `spooled: the event waits in ${outcome.file}; treeline drain sends it`,
    )
    return
  }
  const { receipt, created } = outcome
  const text = receiptText(receipt)
  const file = options.get('receipt')
  if (file !== undefined) writeOutput(file, text)
  if (options.is('json')) process.stdout.write(text)
  else
    console.log(
      `${created ? 'logged' : 'already logged'} at index ${receipt.index} of ${receipt.origin}; the receipt verifies`,
    )
}

function sayDrained(options: Options, { logged, rejected, left }: Drained): void {
  if (options.is('json')) {
    console.log(
      JSON.stringify({
        logged: logged.map(({ index }) => index),
        rejected: rejected.map(({ file, reason }) => ({ file, code: reason.code })),
        left,
      }),
    )
    return
  }
  for (const { file, reason } of rejected)
    console.error(`treeline: refused: ${reason.message} (${reason.code}); the event is in ${file}`)
  console.log(`${logged.length} events logged, ${rejected.length} refused, ${left} left in the spool`)
}

/** A log that is slow to publish is no reason to fail a pipeline; one that contradicts itself is. */
async function settle(client: TreelineClient): Promise<void> {
  try {
    await client.settle()
  } catch (error) {
    if (!(error instanceof TreelineError) || error.code === 'INVALID_LOG') throw error
  }
}
