import { fromUtf8, toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { formatPublicKeyBase64, type PublicKey } from '../../src/core/keys.ts'
import { predecessorOf } from '../../src/core/predecessor.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { parseWritePolicy } from '../../src/core/write-policy.ts'
import { type Command, EXIT, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import { OUT_FLAG, readPublicKey, timeOf, writeOutput } from './common.ts'

const SIGNER = 'NAME=FILE.pub[,types=P|P][,subjects=P|P][,keyids=K|K][,from=TIME][,until=TIME][,shared]'
const SETTINGS = ['types', 'subjects', 'keyids', 'from', 'until']

export const policyNewCommand: Command = {
  name: 'policy new',
  summary: 'Writes the first write policy of a log: who may submit what, and who may change that.',
  flags: [
    { name: 'log-key', value: 'VKEY', help: 'the key of the log, as treeline-server init printed it', required: true },
    { name: 'administrator', value: 'FILE.pub', help: 'may change the policy', required: true, multiple: true },
    { name: 'threshold', value: 'N', help: 'how many administrators it takes', default: '1' },
    { name: 'signer', value: SIGNER, help: 'may submit; patterns are exact or end in *', multiple: true },
    {
      name: 'redactor',
      value: 'FILE.pub',
      help: 'an administrator or signer who may redact; the administrators when left out',
      multiple: true,
    },
    { name: 'redactor-threshold', value: 'N', help: 'how many redactors it takes', default: '1' },
    { name: 'produces', value: 'TYPE', help: 'events of this type made their subjects', multiple: true },
    {
      name: 'successor-of',
      value: 'FILE',
      help: 'the last witnessed checkpoint of the log that this one takes the place of',
    },
    { name: 'private', value: 'TYPE', help: 'digests of this type stay out of the tree', multiple: true },
    OUT_FLAG,
  ],
  async run(options) {
    const vkey = options.need('log-key')
    const redactors = options.all('redactor').map((file) => readPublicKey(file).id)
    const document = {
      origin: parseVkey(vkey).name,
      sequence: 0,
      previous: null,
      ...successorOf(options.get('successor-of')),
      logKeys: [vkey],
      administrators: {
        threshold: options.integer('threshold', 1, 1_000),
        keys: options.all('administrator').map((file) => keyDocument(readPublicKey(file))),
      },
      redactors:
        redactors.length === 0 ? null : { threshold: options.integer('redactor-threshold', 1, 1_000), keys: redactors },
      signers: options.all('signer').map(signerDocument),
      produces: options.all('produces'),
      private: options.all('private'),
    }
    const text = toUtf8(`${JSON.stringify(document, null, 2)}\n`)
    requireWritePolicy(text)
    writeOutput(options.get('out'), fromUtf8(text)!)
    return EXIT.done
  },
}

function successorOf(file: string | undefined): object {
  if (file === undefined) return {}
  try {
    const { origin, size, root } = predecessorOf(readInput(file))
    return { successorOf: { origin, size, root: toBase64(root) } }
  } catch (error) {
    throw error instanceof TreelineError ? usage(`${file}: ${error.message}`) : error
  }
}

/** Throws USAGE for what no log would take. */
export function requireWritePolicy(payload: Uint8Array): void {
  try {
    parseWritePolicy(payload)
  } catch (error) {
    throw error instanceof TreelineError ? usage(error.message) : error
  }
}

const keyDocument = (key: PublicKey) => ({ id: key.id, publicKey: formatPublicKeyBase64(key) })

function signerDocument(text: string) {
  const [head = '', ...settings] = text.split(',')
  const [, name = '', file = ''] = /^([^=]+)=(.+)$/.exec(head) ?? []
  if (name === '') throw usage(`--signer takes ${SIGNER}, not "${text}"`)
  const given = new Map<string, string>()
  for (const setting of settings) {
    const [, key = setting, value = ''] = /^([^=]*)=(.*)$/s.exec(setting) ?? []
    const known = SETTINGS.includes(key) ? value !== '' : setting === 'shared'
    if (!known || given.has(key)) throw usage(`--signer takes ${SIGNER}, not ",${setting}"`)
    given.set(key, value)
  }
  const time = (key: string) => (given.has(key) ? timeOf(given.get(key)!, `--signer ${key}=`) : null)
  return {
    ...keyDocument(readPublicKey(file)),
    name,
    keyids: given.get('keyids')?.split('|') ?? [],
    types: given.get('types')?.split('|') ?? ['*'],
    subjects: given.get('subjects')?.split('|') ?? ['*'],
    notBefore: time('from'),
    notAfter: time('until'),
    shared: given.has('shared'),
    suspended: null,
  }
}
