import { signEnvelope } from '../../src/client/signing-key.ts'
import { parse, type Transport } from '../../src/client/transport.ts'
import { fromUtf8, toUtf8 } from '../../src/core/bytes.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { formatPublicKeyBase64, type PublicKey, parsePublicKeyPem } from '../../src/core/keys.ts'
import { parseVkey } from '../../src/core/note.ts'
import { parseWritePolicy, WRITE_POLICY } from '../../src/core/write-policy.ts'
import { type Command, EXIT, type Options, usage } from '../cli.ts'
import { JSON_FLAG, KEY_FLAG, LOG_FLAGS, readInput, readKeys, withTransport, writeOutput } from './common.ts'

const OUT: Command['flags'][number] = {
  name: 'out',
  value: 'FILE',
  help: 'where to write; standard output when left out',
}

interface PolicyAnswer {
  readonly index: number
  readonly sha256: string
  readonly policy: Document
}

/** As JSON; the members that are changed here. */
interface Document {
  readonly sequence: number
  readonly signers: readonly SignerDocument[]
  readonly [member: string]: unknown
}

interface SignerDocument {
  readonly id: string
  readonly name: string
  readonly [member: string]: unknown
}

const newCommand: Command = {
  name: 'policy new',
  summary: 'Writes the first write policy of a log: who may submit what, and who may change that.',
  flags: [
    { name: 'log-key', value: 'VKEY', help: 'the key of the log, as treeline-server init printed it', required: true },
    { name: 'administrator', value: 'FILE.pub', help: 'may change the policy', required: true, multiple: true },
    { name: 'threshold', value: 'N', help: 'how many administrators it takes', default: '1' },
    {
      name: 'signer',
      value: 'NAME=FILE.pub[,types=P|P][,subjects=P|P]',
      help: 'may submit events of these types about these subjects; patterns end in * or are exact',
      multiple: true,
    },
    { name: 'produces', value: 'TYPE', help: 'events of this type made their subjects', multiple: true },
    { name: 'private', value: 'TYPE', help: 'digests of this type stay out of the tree', multiple: true },
    OUT,
  ],
  async run(options) {
    const vkey = options.need('log-key')
    const document = {
      origin: parseVkey(vkey).name,
      sequence: 0,
      previous: null,
      logKeys: [vkey],
      administrators: {
        threshold: options.integer('threshold', 1, 1000),
        keys: options.all('administrator').map((file) => keyDocument(readPublic(file))),
      },
      redactors: null,
      signers: options.all('signer').map(signerDocument),
      produces: options.all('produces'),
      private: options.all('private'),
    }
    const text = `${JSON.stringify(document, null, 2)}\n`
    parseWritePolicy(toUtf8(text))
    writeOutput(options.get('out'), text)
    return EXIT.done
  },
}

const signCommand: Command = {
  name: 'policy sign',
  operands: 'FILE',
  summary: 'Signs a policy document, or adds a signature to one that is signed.',
  flags: [KEY_FLAG, OUT],
  async run(options, operands) {
    const [file, ...rest] = operands
    if (file === undefined || rest.length > 0) throw usage('policy sign takes one FILE')
    writeOutput(options.get('out'), addSignatures(WRITE_POLICY, readInput(file), options))
    return EXIT.done
  },
}

/** `input` is a payload, or an envelope of one whose signatures are kept. */
export function addSignatures(payloadType: string, input: Uint8Array, options: Options): Uint8Array {
  const keys = readKeys(options)
  const document: unknown = JSON.parse(fromUtf8(input) ?? 'null')
  if (typeof document !== 'object' || document === null || !('payload' in document))
    return signEnvelope(payloadType, input, keys)
  const before = parseEnvelope(input)
  const added = parseEnvelope(signEnvelope(payloadType, before.payload, keys))
  return toUtf8(
    JSON.stringify({
      payloadType,
      payload: Buffer.from(before.payload).toString('base64'),
      signatures: [...before.signatures, ...added.signatures].map(({ keyid, signature }) => ({
        keyid,
        sig: Buffer.from(signature).toString('base64'),
      })),
    }),
  )
}

const showCommand: Command = {
  name: 'policy show',
  summary: 'Prints the write policy in force.',
  flags: [...LOG_FLAGS, { name: 'next', help: 'as the next document: edit, sign and submit it' }],
  run: (options) =>
    withTransport(options, async (transport) => {
      const answer = await inForce(transport)
      console.log(JSON.stringify(options.is('next') ? next(answer, answer.policy.signers) : answer.policy, null, 2))
      return EXIT.done
    }),
}

const submitPolicyCommand: Command = {
  name: 'policy submit',
  operands: 'SIGNED.json',
  summary: 'Puts a signed write policy into force.',
  flags: [...LOG_FLAGS, JSON_FLAG],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const [file, ...rest] = operands
      if (file === undefined || rest.length > 0) throw usage('policy submit takes one file')
      return post(transport, options, readInput(file))
    }),
}

const suspendCommand: Command = {
  name: 'policy suspend',
  operands: 'SIGNER',
  summary: 'Suspends a signer at once, by name or key id. One administrator is enough; restoring takes the threshold.',
  flags: [
    ...LOG_FLAGS,
    { ...KEY_FLAG, help: 'an administrator' },
    { name: 'compromised-since', value: 'TIME', help: 'since when the key is in doubt, RFC 3339' },
    JSON_FLAG,
  ],
  run: (options, operands) =>
    withTransport(options, async (transport) => {
      const [who, ...rest] = operands
      if (who === undefined || rest.length > 0) throw usage('policy suspend takes one SIGNER')
      const since = options.get('compromised-since')
      const compromisedSince = since === undefined ? null : Date.parse(since)
      if (Number.isNaN(compromisedSince)) throw usage(`"${since}" is not a time`)
      const answer = await inForce(transport)
      const found = answer.policy.signers.filter(({ id, name }) => id === who || name === who)
      if (found.length !== 1) throw usage(`the policy has ${found.length} signers "${who}"`)
      const signers = answer.policy.signers.map((signer) =>
        signer === found[0] ? { ...signer, suspended: { since: Date.now(), compromisedSince } } : signer,
      )
      const document = toUtf8(JSON.stringify(next(answer, signers)))
      return post(transport, options, signEnvelope(WRITE_POLICY, document, readKeys(options)))
    }),
}

export const policyCommands: readonly Command[] = [
  newCommand,
  signCommand,
  showCommand,
  submitPolicyCommand,
  suspendCommand,
]

const inForce = (transport: Transport): Promise<PolicyAnswer> => transport.json<PolicyAnswer>('v1/policy')

const next = ({ index, sha256, policy }: PolicyAnswer, signers: readonly SignerDocument[]) => ({
  ...policy,
  sequence: policy.sequence + 1,
  previous: { index, sha256 },
  signers,
})

async function post(transport: Transport, options: Options, envelope: Uint8Array): Promise<number> {
  const { body } = await transport.post('v1/policy', envelope, 'application/json')
  const { index } = parse<{ index: number }>(body)
  console.log(options.is('json') ? fromUtf8(body) : `the policy is in force from entry ${index} on`)
  return EXIT.done
}

const keyDocument = (key: PublicKey) => ({ id: key.id, publicKey: formatPublicKeyBase64(key) })

function readPublic(file: string): PublicKey {
  return parsePublicKeyPem(fromUtf8(readInput(file)) ?? '')
}

function signerDocument(text: string) {
  const [, name = '', file = '', rest = ''] = /^([^=,]+)=([^,]+)((?:,(?:types|subjects)=[^,]+)*)$/.exec(text) ?? []
  if (name === '') throw usage(`--signer takes NAME=FILE.pub[,types=P|P][,subjects=P|P], not "${text}"`)
  const patterns = (member: string) => new RegExp(`,${member}=([^,]+)`).exec(rest)?.[1]?.split('|') ?? ['*']
  return {
    ...keyDocument(readPublic(file)),
    name,
    keyids: [],
    types: patterns('types'),
    subjects: patterns('subjects'),
    notBefore: null,
    notAfter: null,
    shared: false,
    suspended: null,
  }
}
