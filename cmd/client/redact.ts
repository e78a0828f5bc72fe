import { parseAnswer } from '../../src/client/answer.ts'
import { addSignatures, verifyDocumentReceipt } from '../../src/client/documents.ts'
import { fetchEntry, fetchProof } from '../../src/client/reads.ts'
import { parseReceipt } from '../../src/client/receipts.ts'
import type { Transport } from '../../src/client/transport.ts'
import { trustedOrigin } from '../../src/client/trusted-log.ts'
import { verifyFile } from '../../src/client/verify.ts'
import { fromUtf8, parseSize, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { decodeEntry, EVENT, REDACTION } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { parseRedactionRequest, REDACTION_REQUEST } from '../../src/core/redaction.ts'
import { type Command, EXIT, type Options, printable, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import {
  JSON_FLAG,
  KEY_FLAG,
  LOG_FLAGS,
  readKeys,
  readTrust,
  TRUST_FLAG,
  withTransport,
  writeOutput,
} from './common.ts'

export const redactCommand: Command = {
  name: 'redact',
  operands: 'INDEX…',
  summary: 'Erases the payloads of events. The entries, and the proof of everything else, stay.',
  flags: [
    ...LOG_FLAGS,
    TRUST_FLAG,
    { ...KEY_FLAG, help: 'a redactor; as many as the threshold of the policy' },
    { name: 'reason', value: 'CODE', help: 'a short code that stays in the tree, such as personal-data' },
    { name: 'request', value: 'FILE', help: 'a request that others have signed, to add our signature to' },
    { name: 'out', value: 'FILE', help: 'write the signed request there for the next redactor, and send nothing' },
    JSON_FLAG,
  ],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const trust = readTrust(options)
      const file = options.get('request')
      if ((file === undefined) === (operands.length === 0 || options.get('reason') === undefined))
        throw usage('redact takes INDEX… and --reason CODE, or --request FILE')
      const document = file === undefined ? await request(transport, options, operands) : readInput(file)
      const signed = addSignatures(REDACTION_REQUEST, document, readKeys(options), (envelope) => {
        const { origin, entries, reason } = parseRedactionRequest(envelope)
        console.error(printable(`redacts ${entries.map(({ index }) => index).join(', ')} of ${origin}: ${reason}`))
      })
      if (options.get('out') !== undefined) {
        writeOutput(options.get('out'), signed)
        return EXIT.done
      }
      const { body } = await transport.post('v1/redactions', signed, 'application/json')
      const answer = parseAnswer<{ indexes?: unknown; erased?: unknown }>(body)
      const receipt = parseReceipt(answer)
      const entry = await verifyDocumentReceipt(transport, receipt, signed, trust)
      if (entry.kind !== REDACTION)
        throw new TreelineError('INVALID_PROOF', 'the receipt is for an entry that is not a redaction')
      if (options.is('json')) console.log(fromUtf8(body))
      else {
        console.log(`entry ${receipt.index} redacts ${entry.indexes.join(', ')}`)
        console.log(
          answer.erased === true
            ? 'the log says that no byte of the payloads is left on its disk'
            : `a reader still holds old pages: send the same request again to finish`,
        )
      }
      return EXIT.done
    }),
}

/** Names the entries that a published checkpoint proves, not those that the log tells; a redactor signs for what it saw. */
async function request(transport: Transport, options: Options, operands: readonly string[]): Promise<Uint8Array> {
  const trust = readTrust(options)
  const origin = trustedOrigin(trust, options.need('log'))
  const indexes = [...new Set(operands)].map((operand) => {
    const index = parseSize(operand)
    if (index === undefined) throw usage(`"${operand}" is no index`)
    return index
  })
  const entries: { index: number; leafHash: string }[] = []
  for (const index of indexes.sort((a, b) => a - b)) {
    const bytes = await fetchEntry(transport, index)
    verifyFile({ file: await fetchProof(transport, index), trust, entry: bytes })
    const entry = decodeEntry(bytes)
    if (entry.kind !== EVENT) throw usage(`entry ${index} is not an event: only events can be redacted`)
    console.error(printable(`entry ${index}: ${entry.type}, ${new Date(entry.time).toISOString()}`))
    entries.push({ index, leafHash: toHex(leafHash(bytes)) })
  }
  return toUtf8(JSON.stringify({ origin, entries, reason: options.need('reason') }))
}
