import { parseAnswer } from '../../src/client/answer.ts'
import { addSignatures, verifyDocumentReceipt } from '../../src/client/documents.ts'
import { fetchPolicy, nextPolicy } from '../../src/client/policy-change.ts'
import { parseReceipt } from '../../src/client/receipts.ts'
import { signEnvelope } from '../../src/client/signing-key.ts'
import type { Transport } from '../../src/client/transport.ts'
import { trustedOrigin } from '../../src/client/trusted-log.ts'
import { fromUtf8, toUtf8 } from '../../src/core/bytes.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { POLICY } from '../../src/core/entry.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { WRITE_POLICY } from '../../src/core/write-policy.ts'
import { type Command, EXIT, type Options, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import {
  JSON_FLAG,
  KEY_FLAG,
  LOG_FLAGS,
  OUT_FLAG,
  oneOperand,
  readKeys,
  readTrust,
  TRUST_FLAG,
  timeOf,
  withTransport,
  writeOutput,
} from './common.ts'
import { policyNewCommand, requireWritePolicy } from './policy-new.ts'

const signCommand: Command = {
  name: 'policy sign',
  operands: 'FILE',
  summary: 'Signs a policy document, or adds a signature to one that is signed.',
  flags: [KEY_FLAG, OUT_FLAG],
  async run(options, operands) {
    const input = readInput(oneOperand(operands, 'FILE'))
    const signed = addSignatures(WRITE_POLICY, input, readKeys(options), ({ payload }) => requireWritePolicy(payload))
    writeOutput(options.get('out'), signed)
    return EXIT.done
  },
}

const showCommand: Command = {
  name: 'policy show',
  summary: 'Prints the write policy in force, verified.',
  flags: [...LOG_FLAGS, TRUST_FLAG, { name: 'next', help: 'as the next document: edit, sign and submit it' }, OUT_FLAG],
  run: (options) =>
    withTransport(options, async (transport) => {
      const current = await inForce(transport, options)
      const document = options.is('next') ? nextPolicy(current) : current.document
      writeOutput(options.get('out'), `${JSON.stringify(document, null, 2)}\n`)
      return EXIT.done
    }),
}

const submitPolicyCommand: Command = {
  name: 'policy submit',
  operands: 'SIGNED.json',
  summary: 'Puts a signed write policy into force.',
  flags: [...LOG_FLAGS, TRUST_FLAG, JSON_FLAG],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const envelope = readInput(oneOperand(operands, 'SIGNED.json'))
      requireWritePolicy(parseEnvelope(envelope).payload)
      return post(transport, options, envelope)
    }),
}

const suspendCommand: Command = {
  name: 'policy suspend',
  operands: 'SIGNER',
  summary: 'Suspends a signer at once, by name or key id. One administrator is enough; restoring takes the threshold.',
  flags: [
    ...LOG_FLAGS,
    TRUST_FLAG,
    { ...KEY_FLAG, help: 'an administrator' },
    { name: 'compromised-since', value: 'TIME', help: 'since when the key is in doubt, RFC 3339' },
    JSON_FLAG,
  ],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const who = oneOperand(operands, 'SIGNER')
      const doubted = options.get('compromised-since')
      const suspended = {
        since: Date.now(),
        compromisedSince: doubted === undefined ? null : timeOf(doubted, '--compromised-since'),
      }
      const keys = readKeys(options)
      const current = await inForce(transport, options)
      const next = nextPolicy(current)
      const found = next.signers.filter(({ id, name }) => id === who || name === who)
      const [signer] = found
      if (signer === undefined || found.length > 1) throw usage(`the policy has ${found.length} signers "${who}"`)
      if (signer.suspended != null) throw usage(`${who} is suspended already`)
      const signers = next.signers.map((one) => (one === signer ? { ...one, suspended } : one))
      return post(transport, options, signEnvelope(WRITE_POLICY, toUtf8(JSON.stringify({ ...next, signers })), keys))
    }),
}

export const policyCommands: readonly Command[] = [
  policyNewCommand,
  signCommand,
  showCommand,
  submitPolicyCommand,
  suspendCommand,
]

function inForce(transport: Transport, options: Options) {
  const trust = readTrust(options)
  return fetchPolicy(transport, trust, trustedOrigin(trust, options.need('log')))
}

async function post(transport: Transport, options: Options, envelope: Uint8Array): Promise<number> {
  const { body } = await transport.post('v1/policy', envelope, 'application/json')
  const receipt = parseReceipt(parseAnswer(body))
  const { kind } = await verifyDocumentReceipt(transport, receipt, envelope, readTrust(options))
  if (kind !== POLICY) throw new TreelineError('INVALID_PROOF', 'the receipt is for an entry that is not a policy')
  console.log(options.is('json') ? fromUtf8(body) : `the policy is in force from entry ${receipt.index} on`)
  return EXIT.done
}
