/** The files of a witness, and how a folder becomes one. */
import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { TreelineError } from '../src/core/errors.ts'
import { isKeyName } from '../src/core/note.ts'
import { formatVkey } from '../src/core/vkey.ts'
import { type Cosigner, createKeys, hasKeys, loadCosigner, loadSnapshotSigner } from './cosigner.ts'
import { syncPath, writeNewFile } from './secret-file.ts'
import { createState, WitnessState } from './state.ts'

const stateFile = (data: string): string => join(data, 'witness.db')
/** A line for each key, for whoever lists this witness in a policy. */
const vkeyFile = (data: string): string => join(data, 'witness.vkey')

/** For whoever restores from a snapshot, or verifies one. */
const snapshotVkeyFile = (data: string): string => join(data, 'snapshot.vkey')

interface InitOptions {
  readonly name: string
  readonly mlDsa: boolean
  /** Whether it is understood that the state of these keys is lost, and with it what they have cosigned. */
  readonly newState: boolean
  /** How long what goes to write-once storage is locked, ms. */
  readonly retention: number
}

/** Makes keys and an empty state, under the lock of the folder. Throws USAGE when there is something that it would contradict. */
export function initWitness(data: string, { name, mlDsa, newState, retention }: InitOptions): Cosigner {
  if (!isKeyName(name) || Buffer.byteLength(name) > 255) {
    throw new TreelineError('USAGE', `"${name}" is no name of a witness: 1 to 255 bytes without space and plus sign`)
  }
  if (existsSync(stateFile(data))) throw new TreelineError('USAGE', `${data} is the folder of a witness already`)
  if (hasKeys(data)) {
    if (!newState) {
      throw new TreelineError(
        'USAGE',
        `${data} has keys and no state, so what they cosigned is forgotten: put back ${stateFile(data)}, or make new keys ` +
          'in another folder. --new-state starts from nothing: these keys may then cosign two histories of one log',
      )
    }
    if (mlDsa) throw new TreelineError('USAGE', '--ml-dsa is for new keys: those of this folder stay as they are')
  } else {
    if (newState) throw new TreelineError('USAGE', `${data} has no keys, so --new-state says nothing here`)
    // Dies after this: keys without a state, and the next init asks for --new-state.
    createKeys(data, mlDsa)
  }
  const cosigner = loadCosigner(data, name)
  const vkeys = vkeysOf(cosigner)
  if (!existsSync(vkeyFile(data))) writeNewFile(vkeyFile(data), vkeys, 0o644)
  else if (readFileSync(vkeyFile(data), 'utf8') !== vkeys) {
    throw new TreelineError('USAGE', `${vkeyFile(data)} has another name or other keys than this would be`)
  }
  const snapshotVkey = `${formatVkey(loadSnapshotSigner(data, name).key)}\n`
  if (!existsSync(snapshotVkeyFile(data))) writeNewFile(snapshotVkeyFile(data), snapshotVkey, 0o644)
  createState(stateFile(data), name, retention)
  syncPath(data)
  return cosigner
}

/** Throws USAGE when the folder is not that of a witness. */
export const openState = (data: string): WitnessState => WitnessState.open(stateFile(data))

export const vkeysOf = ({ keys }: Cosigner): string => keys.map((key) => `${formatVkey(key)}\n`).join('')
