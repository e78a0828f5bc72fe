/** A log again from what a witness has copied of it: the one place where server and witness meet, reading through one and writing through the other. */
import { existsSync, mkdirSync } from 'node:fs'
import { fromUtf8, toBase64 } from '../../src/core/bytes.ts'
import { formatVkey, parseVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy, verifyCheckpoint, type WitnessPolicy } from '../../src/core/witness-policy.ts'
import { type CopiedEntry, createRestored, type Restored } from '../../src/log/restore.ts'
import { lockData } from '../../src/store/lock.ts'
import { readSecretFile } from '../../src/store/secret-file.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { deriveLeaves } from '../../witness/seal/ggm.ts'
import { openBackup } from '../../witness/seal/key-backup.ts'
import { KeyStore } from '../../witness/seal/key-store.ts'
import type { Manifest } from '../../witness/worm/manifest.ts'
import { openDocument } from '../../witness/worm/open-document.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { copiedEntries, findNewest, readObject } from '../../witness/worm/reader.ts'
import type { WormStore } from '../../witness/worm/store.ts'
import { type Command, EXIT, type Options, printable, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import { progressBar } from '../progress.ts'

/** The GGM leaves of the entries [from, to); undefined where they were destroyed. */
type Leaves = (from: number, to: number) => readonly (Uint8Array | undefined)[]

export const restoreCommand: Command = {
  name: 'restore',
  summary: 'Makes a log that serves reads and never signs again from the newest copy of it in write-once storage.',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder that the log is to be in; made when missing', required: true },
    { name: 'name', value: 'NAME', help: 'the last part of its URL', required: true },
    { name: 'from', value: 'STORE', help: 's3://BUCKET[/PREFIX] or a folder', required: true },
    { name: 'trust', value: 'FILE', help: 'its key, and witnesses of whom a quorum cosigned the copy', required: true },
    { name: 'vkey', value: 'FILE', help: 'the snapshot.vkey of the witness that made the copy', required: true },
    { name: 'origin', value: 'ORIGIN', help: 'which log, where the trust file has the keys of several' },
    { name: 'keys', value: 'FILE', help: 'keys.db of that witness: opens the sealed payloads' },
    { name: 'keys-backup', value: 'FILE', help: 'the same from a backup (treeline-witness keys export)' },
    { name: 'passphrase-file', value: 'FILE', help: 'of the backup' },
    { name: 'blinding-key', value: 'FILE', help: 'blinding.key of the lost log: a successor recognises its events' },
  ],
  run: (options) => restore(options),
}

async function restore(options: Options): Promise<number> {
  const policy = parseWitnessPolicy(readInput(options.need('trust')))
  const log = logOf(policy, options.get('origin'))
  const verifier = logVerifier(parseVkey(fromUtf8(readInput(options.need('vkey')))?.trim() ?? ''))
  const blinding = options.get('blinding-key')
  const store = await openStore(options.need('from'))
  const keys = openKeys(options, log.key.name)
  try {
    const snapshot = await findNewest(store, log.key.name, verifier)
    if (snapshot === undefined)
      throw usage(`${store.description} has no copy of ${log.key.name} by ${verifier.key.name}`)
    const { manifest } = snapshot
    const note = await readObject(store, manifest.objects.at(-1)!)
    // Not the manifest, which is the word of one witness: the log and a quorum have signed this size and root.
    const verified = verifyCheckpoint(note, { ...policy, logs: [log] })
    const cosigners = verified.cosigners.map(({ witness }) => witness.key.name)
    const data = options.need('data')
    mkdirSync(data, { recursive: true, mode: 0o700 })
    const lock = lockData(data)
    const bar = progressBar('restoring')
    try {
      const restored = await createRestored({
        ...{ data, name: options.need('name'), vkey: formatVkey(log.key), checkpoint: fromUtf8(note)! },
        // Only a witness that knows the genesis of a log of events copies documents.
        profile: manifest.objects.some(({ kind }) => kind === 'documents') ? 'events' : 'raw',
        ...(blinding !== undefined && { blinding: new Uint8Array(readSecretFile(blinding)) }),
        entries: entriesOf(store, manifest, keys?.leaves),
        onProgress: bar.update,
      })
      bar.stop()
      say(restored, { manifest, cosigners }, { keys: keys !== undefined, blinding: blinding !== undefined })
      return EXIT.done
    } finally {
      bar.stop()
      lock.release()
    }
  } finally {
    keys?.close()
    await store.close()
  }
}

async function* entriesOf(
  store: WormStore,
  manifest: Manifest,
  leaves: Leaves | undefined,
): AsyncGenerator<CopiedEntry> {
  const { origin } = manifest
  for await (const { from, entries, documents } of copiedEntries(manifest, (object) => readObject(store, object))) {
    const secrets = leaves?.(from, from + entries.length)
    for (const [i, entry] of entries.entries()) {
      const document = openDocument(documents[i]!, entry, { origin, index: from + i, leaf: secrets?.[i] })
      yield { entry, ...(document && { document }) }
    }
  }
}

function say(
  { size, root, missing }: Restored,
  { manifest, cosigners }: { manifest: Manifest; cosigners: readonly string[] },
  { keys, blinding }: { keys: boolean; blinding: boolean },
): void {
  const seen = cosigners.length === 0 ? 'that the log signed' : `cosigned by ${cosigners.join(', ')}`
  console.log(printable(`${manifest.origin}: ${size} entries, whose root ${toBase64(root)} is the one ${seen}`))
  if (missing > 0)
    console.log(
      `${missing} payloads are not there and were not redacted: ${keys ? 'the copy lacks them, or their keys are gone' : 'they are sealed, and there is no --keys'}`,
    )
  if (!blinding)
    console.log('without --blinding-key a successor cannot tell that an event which is sent again is in this log')
  console.log('It serves reads and never signs. To go on: treeline-server init --successor-of its published checkpoint')
}

function logOf({ logs }: WitnessPolicy, origin: string | undefined): WitnessPolicy['logs'][number] {
  const named = logs.filter(({ key }) => origin === undefined || key.name === origin)
  const [log, ...more] = named
  if (log === undefined) throw usage(`the trust file has no log ${origin ?? ''}`)
  if (more.length > 0) throw usage('the trust file has several logs or keys: say which with --origin')
  return log
}

function openKeys(options: Options, origin: string): { readonly leaves: Leaves; close(): void } | undefined {
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
