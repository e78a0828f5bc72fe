/** What opens a copy of a log in write-once storage: which log, and the keys of its payloads. */
import { existsSync } from 'node:fs'
import type { WitnessPolicy } from '../src/core/witness-policy.ts'
import { readSecretFile } from '../src/store/secret-file.ts'
import { deriveLeaves } from '../witness/seal/ggm.ts'
import { openBackup } from '../witness/seal/key-backup.ts'
import { KeyStore } from '../witness/seal/key-store.ts'
import { type Flag, type Options, usage } from './cli.ts'
import { readInput } from './files.ts'

/** The GGM leaves of the entries [from, to); undefined where they were destroyed. */
export type Leaves = (from: number, to: number) => readonly (Uint8Array | undefined)[]

export const COPY_KEY_FLAGS: readonly Flag[] = [
  { name: 'keys', value: 'FILE', help: 'keys.db of that witness: opens the sealed payloads' },
  { name: 'keys-backup', value: 'FILE', help: 'the same from a backup (treeline-witness keys export)' },
  { name: 'passphrase-file', value: 'FILE', help: 'of the backup' },
]

/** The one log of a policy that is meant. Throws USAGE. */
export function logOf(
  { logs }: Pick<WitnessPolicy, 'logs'>,
  origin: string | undefined,
): WitnessPolicy['logs'][number] {
  const named = logs.filter(({ key }) => origin === undefined || key.name === origin)
  const [log, ...more] = named
  if (log === undefined) throw usage(`the trust file has no log ${origin ?? ''}`)
  if (more.length > 0) throw usage('the trust file has several logs or keys: say which with --origin')
  return log
}

/** Undefined where no flag names any: then payloads stay sealed. Throws USAGE. */
export function openCopyKeys(options: Options, origin: string): { readonly leaves: Leaves; close(): void } | undefined {
  const [file, backup] = [options.get('keys'), options.get('keys-backup')]
  if (file !== undefined && backup !== undefined) throw usage('--keys or --keys-backup, not both')
  if (backup !== undefined) {
    const passphrase = readSecretFile(options.need('passphrase-file'))
    const all = openBackup(readInput(backup), passphrase.at(-1) === 0x0a ? passphrase.subarray(0, -1) : passphrase)
    const nodes = all.nodes.filter((node) => node.origin === origin)
    return { leaves: (from, to) => deriveLeaves(nodes, from, to), close: () => {} }
  }
  if (file === undefined) return undefined
  if (!existsSync(file)) throw usage(`there are no sealing keys at ${file}`)
  const keys = new KeyStore(file)
  return { leaves: (from, to) => keys.leaves(origin, from, to), close: () => keys.close() }
}
