import { parse } from '../../src/client/transport.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { REDACTION_REQUEST } from '../../src/core/redaction.ts'
import { type Command, EXIT, usage } from '../cli.ts'
import { JSON_FLAG, KEY_FLAG, LOG_FLAGS, readInput, withTransport, writeOutput } from './common.ts'
import { addSignatures } from './policy.ts'

export const redactCommand: Command = {
  name: 'redact',
  operands: 'INDEX…',
  summary: 'Erases the payloads of events. The entries, and the proof of everything else, stay.',
  flags: [
    ...LOG_FLAGS,
    { ...KEY_FLAG, help: 'a redactor; as many as the threshold of the policy' },
    { name: 'reason', value: 'CODE', help: 'a short code that stays in the tree, such as personal-data' },
    { name: 'request', value: 'FILE', help: 'a request that others have signed: add our signature' },
    { name: 'out', value: 'FILE', help: 'write the signed request there for the next redactor, and send nothing' },
    JSON_FLAG,
  ],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const file = options.get('request')
      const unsigned = file === undefined ? await request() : readInput(file)
      const envelope = addSignatures(REDACTION_REQUEST, unsigned, options)
      const out = options.get('out')
      if (out !== undefined) {
        writeOutput(out, envelope)
        return EXIT.done
      }
      const answer = parse<{ index: number; indexes: readonly number[]; erased: boolean }>(
        (await transport.post('v1/redactions', envelope, 'application/json')).body,
      )
      if (options.is('json')) console.log(JSON.stringify(answer))
      else {
        console.log(`entry ${answer.index} redacts ${answer.indexes.join(', ')}`)
        console.log(
          answer.erased
            ? 'no byte of the payloads is left on the disk of the log'
            : 'a reader still holds old pages: run the same command again to finish',
        )
      }
      return EXIT.done

      async function request(): Promise<Uint8Array> {
        const reason = options.get('reason')
        if (operands.length === 0 || reason === undefined)
          throw usage('redact takes INDEX… and --reason CODE, or --request FILE')
        const indexes = [...new Set(operands)].map((operand) => {
          if (!/^(0|[1-9][0-9]{0,15})$/.test(operand)) throw usage(`"${operand}" is no index`)
          return Number(operand)
        })
        const events = await Promise.all(
          indexes
            .sort((a, b) => a - b)
            .map((index) => transport.json<{ index: number; leafHash: string }>(`v1/events/${index}`)),
        )
        const logs = await transport.json<{ origin?: string; policy: { origin: string } }>('v1/policy')
        return toUtf8(
          JSON.stringify({
            origin: logs.policy.origin,
            entries: events.map(({ index, leafHash }) => ({ index, leafHash })),
            reason,
          }),
        )
      }
    }),
}
