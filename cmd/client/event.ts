/** The event that `treeline submit` sends: made from files, or made elsewhere. */
import { existsSync } from 'node:fs'
import cliProgress from 'cli-progress'
import { canonicalOf, signEnvelope } from '../../src/client/signing-key.ts'
import { type FileRef, type Progress, statementOf } from '../../src/client/statement.ts'
import { CLOUDEVENTS, IN_TOTO } from '../../src/core/payload.ts'
import { type Flag, type Options, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import { readKeys, readPublicKey, timeOf } from './common.ts'

const MADE_HERE: readonly Flag[] = [
  { name: 'produced', value: '[NAME=]FILE', help: 'a file that the step made', multiple: true },
  { name: 'consumed', value: '[NAME=]FILE', help: 'a file that the step read', multiple: true },
  { name: 'parameter', value: 'NAME=VALUE', help: 'a parameter of the step', multiple: true },
  { name: 'started', value: 'TIME', help: 'when the step began, RFC 3339' },
  { name: 'finished', value: 'TIME', help: 'when it ended, RFC 3339' },
]
/** Where the event comes from: one of these. */
const SOURCES: readonly Flag[] = [
  { name: 'type', value: 'URI', help: 'make a statement with this predicate type about the files below' },
  { name: 'statement', value: 'FILE', help: 'sign this in-toto Statement as it is' },
  { name: 'cloudevent', value: 'FILE', help: 'sign this CloudEvent as it is' },
  { name: 'envelope', value: 'FILE', help: 'send this DSSE envelope, which others signed' },
]
export const EVENT_FLAGS: readonly Flag[] = [
  ...SOURCES,
  ...MADE_HERE,
  { name: 'public-key', value: 'FILE.pub', help: 'whose signature on --envelope counts', multiple: true },
]

/** An envelope in canonical form. Throws USAGE, and what `canonicalOf` does. */
export async function signedEvent(options: Options, origin: string): Promise<Uint8Array> {
  const given = (flags: readonly Flag[]) => flags.filter(({ name }) => options.get(name) !== undefined)
  const [source, ...others] = given(SOURCES)
  if (source === undefined || others.length > 0)
    throw usage(`give one of ${SOURCES.map(({ name }) => `--${name}`).join(', ')}`)
  const file = options.need(source.name)
  const [stray] = source.name === 'type' ? [] : given(MADE_HERE)
  if (stray !== undefined) throw usage(`--${source.name} is sent as it is: leave out --${stray.name}`)
  if (source.name !== 'envelope' && options.get('public-key') !== undefined)
    throw usage('--public-key goes with --envelope')
  switch (source.name) {
    case 'statement':
      return signEnvelope(IN_TOTO, readInput(file), readKeys(options))
    case 'cloudevent':
      return signEnvelope(CLOUDEVENTS, readInput(file), readKeys(options))
    case 'envelope':
      return foreignEnvelope(options, file)
    default:
      return madeHere(options, origin)
  }
}

/** The receipt is for the signatures that count, so they are found, and verified, before anything is sent. */
function foreignEnvelope(options: Options, file: string): Uint8Array {
  if (options.get('key') !== undefined) throw usage('an --envelope is signed already: leave out --key')
  const keys = options.all('public-key').map(readPublicKey)
  if (keys.length === 0)
    throw usage('--envelope needs the --public-key of each signer, to verify signatures and receipt')
  return canonicalOf(readInput(file), keys)
}

async function madeHere(options: Options, origin: string): Promise<Uint8Array> {
  const keys = readKeys(options)
  const produced = options.all('produced').map(fileRef)
  if (produced.length === 0) throw usage('give at least one --produced FILE: an in-toto statement is about something')
  const parameters = options.all('parameter').map(parameter)
  const names = parameters.map(([name]) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw usage(`the parameter ${twice} is given twice`)
  const started = options.get('started')
  const finished = options.get('finished')
  for (const [name, time] of Object.entries({ started, finished })) if (time !== undefined) timeOf(time, `--${name}`)
  const bar = progressBar()
  try {
    const step = {
      type: options.need('type'),
      origin,
      produced,
      consumed: options.all('consumed').map(fileRef),
      parameters: Object.fromEntries(parameters),
      ...(started && { startedOn: started }),
      ...(finished && { finishedOn: finished }),
    }
    return signEnvelope(IN_TOTO, await statementOf(step, bar.progress), keys)
  } finally {
    bar.stop()
  }
}

/** A path may have "=" in it, as those of partitions do: what is there as a whole is a path. */
function fileRef(text: string): FileRef {
  const at = text.indexOf('=')
  return at < 1 || existsSync(text) ? { path: text } : { name: text.slice(0, at), path: text.slice(at + 1) }
}

/** A value that is a JSON truth value, or a number that stays what it is, is taken as such; anything else is text. */
function parameter(text: string): [string, unknown] {
  const at = text.indexOf('=')
  if (at < 1) throw usage(`--parameter takes NAME=VALUE, not "${text}"`)
  const value = text.slice(at + 1)
  if (/^(true|false)$/.test(value)) return [text.slice(0, at), value === 'true']
  const number = /^-?(0|[1-9][0-9]*)(\.[0-9]+)?$/.test(value) ? Number(value) : Number.NaN
  const exact = value.includes('.') ? Number.isFinite(number) : Number.isSafeInteger(number)
  return [text.slice(0, at), exact ? number : value]
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
  return {
    progress(file, done, size) {
      if (size < LARGE || !process.stderr.isTTY) return
      if (!bar.isActive) bar.start(size, 0, { file })
      bar.update(done)
      if (done === size) bar.stop()
    },
    stop: () => bar.stop(),
  }
}
