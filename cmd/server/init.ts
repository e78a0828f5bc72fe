import { mkdirSync } from 'node:fs'
import { predecessorOf } from '../../src/core/predecessor.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { checkSuccessor, genesisOf } from '../../src/log/genesis.ts'
import { createLog, prepareLog } from '../../src/log/init.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { lockData } from '../../src/store/lock.ts'
import { type Command, EXIT, type Options, usage } from '../cli.ts'
import { readInput } from '../files.ts'

export const initCommand: Command = {
  name: 'init',
  summary: 'Makes a new log in a data folder.',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder; made when missing', required: true },
    { name: 'name', value: 'NAME', help: 'the log is served at /NAME/', required: true },
    { name: 'origin', value: 'ORIGIN', help: 'its name for ever: its URL without the scheme', required: true },
    { name: 'profile', value: 'events|raw', help: 'signed events, or any bytes without signatures', required: true },
    {
      name: 'policy',
      value: 'SIGNED.json',
      help: 'the first write policy of an events log, signed by its administrators',
    },
    {
      name: 'successor-of',
      value: 'FILE',
      help: 'the last witnessed checkpoint of a log that was lost: this one takes its place',
    },
  ],
  async run(options) {
    const data = options.need('data')
    const profile = options.need('profile')
    if (profile !== 'raw' && profile !== 'events') throw usage(`--profile is "events" or "raw", not "${profile}"`)
    mkdirSync(data, { recursive: true, mode: 0o700 })
    const lock = lockData(data)
    try {
      return await init(data, profile, options)
    } finally {
      lock.release()
    }
  },
}

async function init(data: string, profile: 'raw' | 'events', options: Options): Promise<number> {
  const file = options.get('policy')
  if (profile === 'raw' && file !== undefined) throw usage('a raw log has no write policy: leave out --policy')
  const succeeded = succeededBy(options.get('successor-of'))
  if (profile === 'raw' && succeeded !== undefined)
    throw usage('a raw log has no genesis that could name another log: leave out --successor-of')
  const { files, signer } = prepareLog(data, options.need('name'), options.need('origin'), profile)
  const vkey = formatVkey(signer.key)
  if (succeeded !== undefined) await checkSuccessor(data, vkey, succeeded)
  if (profile === 'events' && file === undefined) {
    console.log(vkey)
    console.error(
      `The log has its key, and needs a write policy before it can be served:\n` +
        `  treeline policy new --log-key '${vkey}' ${succeeded ? '--successor-of FILE ' : ''}…  writes one that lists this key,\n` +
        `  treeline policy sign  signs it, and the same init with --policy SIGNED.json completes the log.`,
    )
    return EXIT.done
  }
  const genesis =
    file === undefined ? undefined : await genesisOf(data, readInput(file, 'policy'), vkey, nativeVerify, succeeded)
  await createLog(files, signer, profile, genesis)
  console.log(vkey)
  return EXIT.done
}

/** Throws USAGE for what is no signed checkpoint of a log with entries. */
function succeededBy(file: string | undefined): Uint8Array | undefined {
  if (file === undefined) return undefined
  const note = readInput(file, 'checkpoint')
  try {
    predecessorOf(note)
    return note
  } catch (error) {
    throw usage(`the checkpoint ${file} cannot be used: ${(error as Error).message}`)
  }
}
