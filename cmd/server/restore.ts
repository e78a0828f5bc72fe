/** A log again from what a witness has copied of it: the one place where server and witness meet, reading through one and writing through the other. */
import { mkdirSync } from 'node:fs'
import { fromUtf8, toBase64 } from '../../src/core/bytes.ts'
import { formatVkey, parseVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy, verifyCheckpoint } from '../../src/core/witness-policy.ts'
import { type CopiedEntry, createRestored, type Restored } from '../../src/log/restore.ts'
import { lockData } from '../../src/store/lock.ts'
import { readSecretFile } from '../../src/store/secret-file.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import type { Manifest } from '../../witness/worm/manifest.ts'
import { openDocument } from '../../witness/worm/open-document.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { copiedEntries, findNewest, readObject } from '../../witness/worm/reader.ts'
import type { WormStore } from '../../witness/worm/store.ts'
import { type Command, EXIT, type Options, printable, usage } from '../cli.ts'
import { COPY_KEY_FLAGS, type Leaves, logOf, openCopyKeys } from '../copy-keys.ts'
import { readInput } from '../files.ts'
import { progressBar } from '../progress.ts'

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
    ...COPY_KEY_FLAGS,
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
  const keys = openCopyKeys(options, log.key.name)
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
