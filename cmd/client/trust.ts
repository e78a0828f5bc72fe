import { parseAnswer } from '../../src/client/answer.ts'
import { Transport } from '../../src/client/transport.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { formatVkey, parseVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { type Command, EXIT, printable } from '../cli.ts'
import { CONNECTION_FLAGS, JSON_FLAG, oneOperand, transportOptions, writeOutput } from './common.ts'

interface LogText {
  readonly name: string
  readonly origin: string
  readonly vkey: string
  readonly genesis: string | null
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
      const { origin, vkey, genesis, policy } = policyOf(log, url)
      const out = options.get('out')
      if (out !== undefined) writeOutput(out, policy)
      if (options.is('json')) console.log(JSON.stringify({ origin, vkey, genesis }))
      else if (out === undefined) process.stdout.write(policy)
      else
        console.log(`origin ${printable(origin)}\nlog key ${printable(vkey)}\ngenesis ${genesis ?? 'none: a raw log'}`)
      console.error('Compare the key and the genesis with what the operator published elsewhere before you trust them.')
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
  const policy = `# genesis ${genesis ?? 'none: a raw log'}\nlog ${vkey} ${url}\nquorum none\n`
  parseWitnessPolicy(toUtf8(policy))
  return { origin: key.name, vkey, genesis, policy }
}

const wrong = (why: string): TreelineError =>
  new TreelineError('INVALID_PROOF', `what the log says of itself is wrong: ${why}`)
