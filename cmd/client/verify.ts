import { hashFile } from '../../src/client/statement.ts'
import { requireArtifact, sayEvidence, verifyFile } from '../../src/client/verify.ts'
import { toHex } from '../../src/core/bytes.ts'
import { type Command, EXIT, usage } from '../cli.ts'
import { JSON_FLAG, readInput, readTrust, TRUST_FLAG } from './common.ts'

export const verifyCommand: Command = {
  name: 'verify',
  operands: 'FILE',
  summary: 'Verifies an evidence file, a tlog-proof or a receipt, offline.',
  flags: [
    TRUST_FLAG,
    { name: 'artifact', value: 'FILE', help: 'the event must name the digest of this file', multiple: true },
    { name: 'entry', value: 'FILE', help: 'the entry, for a proof that does not carry it' },
    { name: 'envelope', value: 'FILE', help: 'the envelope that was sent, for a receipt' },
    JSON_FLAG,
  ],
  async run(options, operands) {
    const [file, ...rest] = operands
    if (file === undefined || rest.length > 0) throw usage('verify takes one FILE')
    const entry = options.get('entry')
    const envelope = options.get('envelope')
    const verified = verifyFile({
      file: readInput(file),
      trust: readTrust(options),
      ...(entry && { entry: readInput(entry) }),
      ...(envelope && { envelope: readInput(envelope) }),
    })
    const artifacts = options.all('artifact')
    if (verified.kind !== 'evidence') {
      if (artifacts.length > 0) throw usage('--artifact needs an evidence file')
      const { origin, size } = verified.checkpoint.checkpoint
      console.log(
        options.is('json')
          ? JSON.stringify({ origin, index: Number(verified.index), size: Number(size) })
          : `verified: entry ${verified.index} of ${origin}, under its checkpoint of size ${size}`,
      )
      return EXIT.done
    }
    const { evidence } = verified
    for (const artifact of artifacts) requireArtifact(evidence, await hashFile(artifact))
    if (options.is('json')) {
      const { checkpoint, index, entry, signers, genesis } = evidence
      console.log(
        JSON.stringify({
          origin: checkpoint.checkpoint.origin,
          index,
          time: entry.time,
          size: Number(checkpoint.checkpoint.size),
          signers,
          genesis: toHex(genesis),
        }),
      )
    } else
      console.log(
        ['verified:', ...sayEvidence(evidence), ...artifacts.map((artifact) => `it names ${artifact}`)].join('\n  '),
      )
    return EXIT.done
  },
}
