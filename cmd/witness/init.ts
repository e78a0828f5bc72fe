import { existsSync, mkdirSync, writeFileSync } from 'node:fs'
import { isKeyName } from '../../src/core/note.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { Cosigner } from '../../witness/cosigner.ts'
import { lockWitness, readName, witnessFiles } from '../../witness/folder.ts'
import { createState } from '../../witness/state.ts'
import { type Command, EXIT, usage } from '../cli.ts'

export const initCommand: Command = {
  name: 'init',
  summary: 'Makes a new witness: its keys and its empty state. Prints its verifier keys.',
  flags: [
    { name: 'data', value: 'DIR', help: 'the folder of the witness; made when missing', required: true },
    { name: 'name', value: 'NAME', help: 'its name in signature lines: a URL without the scheme', required: true },
    { name: 'ml-dsa', help: 'make an ML-DSA-44 key beside the Ed25519 one' },
    {
      name: 'new-state',
      help: 'for keys whose state was lost: the witness forgets what it cosigned, and may cosign another history',
    },
  ],
  async run(options) {
    const data = options.need('data')
    const name = options.need('name')
    if (!isKeyName(name) || Buffer.byteLength(name) > 255)
      throw usage(`"${name}" cannot name a witness: no spaces, no "+", at most 255 bytes`)
    mkdirSync(data, { recursive: true, mode: 0o700 })
    const lock = lockWitness(data)
    try {
      return init(data, name, options.is('ml-dsa'), options.is('new-state'))
    } finally {
      lock.release()
    }
  },
}

function init(data: string, name: string, mlDsa: boolean, newState: boolean): number {
  const files = witnessFiles(data)
  if (existsSync(files.state)) throw usage(`there is a witness in ${data} already`)
  const kept = Cosigner.has(data)
  if (kept && !newState)
    throw usage(
      `${data} has keys and no state. A witness that forgot what it cosigned may cosign another history: restore ${files.state}, or give --new-state`,
    )
  if (kept && readName(data) !== name) throw usage(`the keys in ${data} are those of ${readName(data)}`)
  writeFileSync(files.name, `${name}\n`)
  const cosigner = kept
    ? Cosigner.load(data, name)
    : Cosigner.create(data, name, mlDsa ? ['ed25519', 'ml-dsa-44'] : ['ed25519'])
  const vkeys = cosigner.keys.map((key) => `${formatVkey(key)}\n`).join('')
  writeFileSync(files.vkeys, vkeys)
  // Last: until it is there, there is no witness.
  createState(files.state)
  process.stdout.write(vkeys)
  return EXIT.done
}
