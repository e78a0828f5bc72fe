import { bytesOf, indexOf, parseAnswer, textOf } from '../../src/client/answer.ts'
import { Transport } from '../../src/client/transport.ts'
import { toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { isObject } from '../../src/core/payload.ts'
import { formatVkey, parseVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { type Command, EXIT, printable } from '../cli.ts'
import { CONNECTION_FLAGS, JSON_FLAG, oneOperand, transportOptions, writeOutput } from './common.ts'

interface LogText {
  readonly name: string
  readonly origin: string
  readonly vkey: string
  readonly genesis: string | null
  readonly successorOf?: unknown
  readonly restored?: unknown
}

export const trustCommand: Command = {
  name: 'trust',
  operands: 'URL',
  summary: 'Shows what a log says of itself, as a trust policy to be compared with another source and then pinned.',
  flags: [...CONNECTION_FLAGS, { name: 'out', value: 'FILE', help: 'write the policy there' }, JSON_FLAG],
  async run(options, operands) {
    const url = oneOperand(operands, 'URL').replace(/\/$/, '')
    const { url: _, ...connection } = transportOptions(options, url)
    const at = url.lastIndexOf('/')
    const transport = new Transport({ ...connection, url: url.slice(0, at) })
    try {
      const logs = parseAnswer<readonly LogText[]>(await transport.get('v1/logs'))
      const log = logs.find(({ name }) => name === url.slice(at + 1))
      if (log === undefined) throw new TreelineError('UNKNOWN_LOG', `the server has no log ${url.slice(at + 1)}`)
      const { origin, vkey, genesis, successorOf, restored, policy } = policyOf(log, url)
      const out = options.get('out')
      if (out !== undefined) writeOutput(out, policy)
      if (options.is('json'))
        console.log(
          JSON.stringify({ origin, vkey, genesis, ...(successorOf && { successorOf }), ...(restored && { restored }) }),
        )
      else if (out === undefined) process.stdout.write(policy)
      else
        console.log(
          [
            `origin ${printable(origin)}`,
            `log key ${printable(vkey)}`,
            `genesis ${genesis ?? 'none: a raw log'}`,
            ...(successorOf ? [sayPredecessor(successorOf)] : []),
            ...(restored ? [RESTORED] : []),
          ].join('\n'),
        )
      console.error('Compare the key and the genesis with what the operator published elsewhere before you trust them.')
      if (successorOf !== undefined)
        console.error(
          `It answers with receipts of ${successorOf.origin} for what that has: to accept them, add its log line.`,
        )
      return EXIT.done
    } finally {
      await transport.close()
    }
  },
}

/** Whoever answers writes a file that is the root of trust later: nothing goes into it that was not parsed. */
function policyOf(log: LogText, url: string) {
  const genesis: unknown = log.genesis
  if (genesis !== null && (typeof genesis !== 'string' || !/^[0-9a-f]{64}$/.test(genesis)))
    throw wrong('its genesis is no hash')
  if (typeof log.vkey !== 'string') throw wrong('it has no key')
  const key = parseVkey(log.vkey)
  const vkey = formatVkey(key)
  if (vkey !== log.vkey || key.name !== log.origin) throw wrong('its key has another name than the log')
  const successorOf = log.successorOf === undefined ? undefined : predecessorOf(log.successorOf)
  const restored = log.restored === true
  const notes = [`genesis ${genesis ?? 'none: a raw log'}`]
  if (successorOf !== undefined) notes.push(sayPredecessor(successorOf))
  if (restored) notes.push(RESTORED)
  const policy = `${notes.map((note) => `# ${note}\n`).join('')}log ${vkey} ${url}\nquorum none\n`
  parseWitnessPolicy(toUtf8(policy))
  return { origin: key.name, vkey, genesis, successorOf, restored, policy }
}

const RESTORED = 'restored from a copy: it never signs again'

interface PredecessorText {
  readonly origin: string
  readonly size: number
  readonly root: string
}

const sayPredecessor = ({ origin, size, root }: PredecessorText): string =>
  `succeeds ${origin} at size ${size}, root ${root}`

/** As the log says; evidence of one of its entries proves that its administrators have signed it. */
function predecessorOf(value: unknown): PredecessorText {
  if (!isObject(value)) throw wrong('what it succeeds is no object')
  const origin = textOf(value.origin, 'the origin that it succeeds')
  // It becomes a line of a file, and of a terminal.
  if (!/^[\x21-\x7e]{1,255}$/.test(origin)) throw wrong('the origin that it succeeds is none')
  return { origin, size: indexOf(value.size, 'the size that it succeeds'), root: toBase64(bytesOf(value.root, 'root')) }
}

const wrong = (why: string): TreelineError =>
  new TreelineError('INVALID_PROOF', `what the log says of itself is wrong: ${why}`)
