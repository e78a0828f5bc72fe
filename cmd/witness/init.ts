import { mkdirSync } from 'node:fs'
import { initWitness, vkeysOf } from '../../witness/folder.ts'
import { lockData } from '../../witness/lock.ts'
import { type Command, EXIT } from '../cli.ts'

const DAY = 86_400_000

export const initCommand: Command = {
  name: 'init',
  summary: 'Makes the keys and the state of a new witness, and prints its verifier keys.',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder; made when missing', required: true },
    { name: 'name', value: 'NAME', help: 'its name for ever: its URL without the scheme', required: true },
    { name: 'ml-dsa', help: 'cosign with ML-DSA-44 too, beside Ed25519' },
    {
      name: 'retention',
      value: 'DAYS',
      help: 'how long copies in write-once storage are locked; cannot be changed later',
      default: '2557',
    },
    {
      name: 'new-state',
      help: 'keys that are there lost their state: forget what they cosigned, and start from nothing',
    },
  ],
  async run(options) {
    const data = options.need('data')
    mkdirSync(data, { recursive: true, mode: 0o700 })
    const lock = lockData(data)
    try {
      const cosigner = initWitness(data, {
        name: options.need('name'),
        mlDsa: options.is('ml-dsa'),
        newState: options.is('new-state'),
        retention: options.integer('retention', 1, 36_525) * DAY,
      })
      process.stdout.write(vkeysOf(cosigner))
      return EXIT.done
    } finally {
      lock.release()
    }
  },
}
