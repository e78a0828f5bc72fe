import { statSync } from 'node:fs'
import { type PreparedBatch, prepareBatch } from '../../src/client/batch.ts'
import type { Logged, Outcome, Rejected } from '../../src/client/client.ts'
import { receiptText } from '../../src/client/receipts.ts'
import { TreelineError } from '../../src/core/errors.ts'
import type { BatchReceipt } from '../../src/core/receipt.ts'
import { type Command, EXIT, type Flag, type Options, printable, usage } from '../cli.ts'
import { progressBar } from '../progress.ts'
import { JSON_FLAG, KEY_FLAG, LOG_FLAGS, readKeys, STATE_FLAG, TRUST_FLAG, withClient, writeOutput } from './common.ts'
import { EVENT_FLAGS, signedEvent } from './event.ts'

/** Receipts that a submission settles beside its own work: a pipeline does not wait for a long list. */
const SETTLE = { limit: 100, patience: 0 }

const BATCH_FLAG: Flag = {
  name: 'batch',
  value: 'FILE.ndjson',
  help: 'sign all payloads of a file at once, one in-toto Statement or CloudEvent a line; at most 10,000 and 32 MiB',
}
/** Bytes from which on reading takes long enough to be watched. */
const LARGE = 2 ** 20

async function batchOf(options: Options, origin: string): Promise<PreparedBatch> {
  const stray = EVENT_FLAGS.find(({ name }) => options.get(name) !== undefined)
  if (stray !== undefined) throw usage(`the lines of a --batch are sent as they are: leave out --${stray.name}`)
  const file = options.need('batch')
  const size = statSync(file, { throwIfNoEntry: false })?.size ?? 0
  const bar = progressBar('signing bytes')
  try {
    const progress = size > LARGE ? { progress: (done: number) => bar.update(done, size) } : {}
    return await prepareBatch({ file, origin, keys: readKeys(options), ...progress })
  } finally {
    bar.stop()
  }
}

export const submitCommand: Command = {
  name: 'submit',
  summary:
    'Signs an event about files, or a batch of events, and logs it. A log that is away never fails it: the event waits in the spool.',
  flags: [
    ...LOG_FLAGS,
    TRUST_FLAG,
    { ...KEY_FLAG, help: 'the signer', required: false },
    ...EVENT_FLAGS,
    BATCH_FLAG,
    { name: 'wait', help: 'until witnesses have cosigned, as long as the log is willing to' },
    { name: 'receipt', value: 'FILE', help: 'write the receipt there too' },
    STATE_FLAG,
    JSON_FLAG,
  ],
  async run(options, operands) {
    if (operands.length > 0) throw usage(`submit takes no ${operands[0]}: name files by --produced and --consumed`)
    return withClient(options, async (client) => {
      const witnessed = options.is('wait')
      const outcome =
        options.get('batch') === undefined
          ? await client.submit(await signedEvent(options, client.origin), { witnessed })
          : await client.submitBatch(await batchOf(options, client.origin), { witnessed })
      say(options, outcome)
      sayRejected(outcome.rejected)
      if (outcome.kind === 'logged') await quietly(() => client.settle(SETTLE))
      return outcome.rejected.length > 0 ? EXIT.refused : EXIT.done
    })
  },
}

export const drainCommand: Command = {
  name: 'drain',
  summary: 'Sends the events that wait in the spool, and proves kept receipts against the published checkpoint.',
  flags: [...LOG_FLAGS, TRUST_FLAG, STATE_FLAG, JSON_FLAG],
  run: (options, operands) => {
    if (operands.length > 0) throw usage(`drain takes no ${operands[0]}`)
    return withClient(options, async (client) => {
      const { logged, rejected, left, reason } = await client.drain()
      sayRejected(rejected)
      const indexes = logged.map(({ receipt }) => receipt.index)
      const refused = rejected.map(({ file, reason: { code } }) => ({ file, code }))
      console.log(
        options.is('json')
          ? JSON.stringify({ logged: indexes, rejected: refused, left })
          : `${countOf(logged)} events logged, ${rejected.length} refused, ${left} left in the spool`,
      )
      if (reason !== undefined) throw reason
      const { proved, waiting, foreign } = await client.settle()
      if (!options.is('json')) console.log(`${proved} receipts proved, ${waiting} not published yet`)
      if (foreign > 0)
        console.error(`treeline: ${foreign} receipts are of keys that the trust policy does not list: set aside`)
      return rejected.length > 0 ? EXIT.refused : EXIT.done
    })
  },
}

function say(options: Options, outcome: Outcome): void {
  if (outcome.kind === 'spooled') {
    const { file, reason } = outcome
    console.error(`treeline: ${printable(reason.message)} (${reason.code})`)
    console.log(
      options.is('json')
        ? JSON.stringify({ spooled: file })
        : `spooled: the event waits in ${file}; treeline drain sends it`,
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
      'first' in receipt
        ? sayBatch(receipt, created)
        : `${created ? 'logged' : 'already logged'} at index ${receipt.index} of ${receipt.origin}; the receipt verifies${receipt.witnessed ? ', and witnesses have cosigned it' : ''}`,
    )
}

const sayBatch = ({ origin, index, first, size, witnessed }: BatchReceipt, created: boolean): string =>
  `${created ? 'logged' : 'already logged'} at index ${index} of ${origin}, with its ${size} items at ${first} to ${first + size - 1}; the receipt verifies${witnessed ? ', and witnesses have cosigned it' : ''}`

/** A batch is as many events as it has items. */
const countOf = (logged: readonly Logged[]): number =>
  logged.reduce((sum, { receipt }) => sum + ('size' in receipt ? receipt.size : 1), 0)

function sayRejected(rejected: readonly Rejected[]): void {
  for (const { file, reason } of rejected)
    console.error(
      `treeline: refused: ${printable(reason.message)} (${printable(reason.code)}); the event is in ${file}`,
    )
}

/** The event is logged. That a log is slow to publish is no reason to fail a pipeline; that it contradicts itself is. */
async function quietly(settle: () => Promise<unknown>): Promise<void> {
  try {
    await settle()
  } catch (error) {
    if (!(error instanceof TreelineError) || error.code === 'INVALID_LOG' || error.code === 'INVALID_PROOF') throw error
    console.error(`treeline: receipts wait to be proved: ${printable(error.message)} (${printable(error.code)})`)
  }
}
