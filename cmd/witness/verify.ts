import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { fromUtf8 } from '../../src/core/bytes.ts'
import { cosignatureVerifier } from '../../src/core/cosignature.ts'
import { type NoteSigner, parseNote, verifyNote } from '../../src/core/note.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy, verifyCheckpoint } from '../../src/core/witness-policy.ts'
import { loadCosigner, loadSnapshotSigner } from '../../witness/cosigner.ts'
import { openState } from '../../witness/folder.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { KeyStore } from '../../witness/seal/key-store.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { type SnapshotReport, signReport, verifySnapshot } from '../../witness/worm/verify.ts'
import { type Command, EXIT, type Options, printable, usage } from '../cli.ts'
import { readInput } from '../files.ts'
import { progressBar } from '../progress.ts'

/** What the caller trusts: its own keys in a data folder, or a snapshot key and a policy for the log. */
interface Trust {
  readonly origins: readonly string[]
  readonly vkey: ReturnType<typeof parseVkey>
  readonly checkHead: (note: Uint8Array) => void
  readonly signer?: NoteSigner
  readonly keys?: KeyStore
}

export const verifyCommand: Command = {
  name: 'verify',
  summary:
    'Reads every object of the newest snapshots back by its version, checks its lock, rebuilds the root; ends with a report.',
  flags: [
    { name: 'worm', value: 'STORE', help: 's3://BUCKET[/PREFIX] or a folder', required: true },
    {
      name: 'data',
      value: 'DIR',
      help: 'the data folder of the witness: the report is signed, sealed payloads are opened',
    },
    { name: 'vkey', value: 'FILE', help: 'without --data: the snapshot.vkey of the witness' },
    { name: 'trust', value: 'FILE', help: 'without --data: log keys, witnesses, quorum' },
    { name: 'origin', value: 'ORIGIN', help: 'which log; with --data all that have a snapshot', multiple: true },
    { name: 'report', value: 'FILE', help: 'where the report goes; standard output otherwise' },
  ],
  async run(options) {
    const store = await openStore(options.need('worm'))
    const { origins, vkey, checkHead, signer, keys } = trustOf(options)
    try {
      let good = true
      for (const origin of origins) {
        const bar = progressBar(`verifying ${printable(origin)}`)
        const report = await verifySnapshot({
          ...{ store, origin, verifier: logVerifier(vkey), checkHead, keys, now: Date.now, progress: bar.update },
        })
        bar.stop()
        const text = signer === undefined ? `${JSON.stringify(report, null, 1)}\n` : signReport(report, signer)
        const file = options.get('report')
        if (file === undefined) process.stdout.write(text)
        else writeFileSync(file, text, { flag: origin === origins[0] ? 'w' : 'a' })
        console.error(summary(report))
        good &&= report.problems.length === 0
      }
      return good ? EXIT.done : EXIT.unverified
    } finally {
      keys?.close()
      await store.close()
    }
  },
}

function trustOf(options: Options): Trust {
  const data = options.get('data')
  const named = options.all('origin')
  if (data === undefined) {
    if (named.length === 0) throw usage('verify takes --data, or --vkey, --trust and --origin')
    const policy = parseWitnessPolicy(readInput(options.need('trust')))
    const vkey = parseVkey(fromUtf8(readInput(options.need('vkey')))?.trim() ?? '')
    return { origins: named, vkey, checkHead: (note) => void verifyCheckpoint(note, policy) }
  }
  const state = openState(data)
  try {
    const signer = loadSnapshotSigner(data, state.name)
    const verifiers = loadCosigner(data, state.name).keys.map(cosignatureVerifier)
    const origins =
      named.length > 0 ? named : state.all().flatMap(({ origin }) => (state.copies.snapshot(origin) ? [origin] : []))
    if (origins.length === 0) throw usage(`${data} remembers no snapshot: name the log with --origin`)
    const file = join(data, 'keys.db')
    return {
      ...{ origins, vkey: signer.key, signer },
      checkHead: (note) => void verifyNote(parseNote(note), verifiers),
      ...(existsSync(file) && { keys: new KeyStore(file) }),
    }
  } finally {
    state.close()
  }
}

function summary({ origin, size, objects, bytes, lockedUntil, documents, problems }: SnapshotReport): string {
  const payloads = Object.entries(documents).flatMap(([kind, count]) => (count > 0 ? [`${count} ${kind}`] : []))
  const locked = lockedUntil === null ? 'not locked' : `locked until ${new Date(lockedUntil).toISOString()}`
  const facts = `${objects} objects, ${bytes} bytes, ${locked}; documents: ${payloads.join(', ') || 'none'}`
  if (problems.length === 0)
    return printable(`${origin}: the copy of ${size} entries gives the cosigned root; ${facts}`)
  return printable(`${origin}: the copy of ${size} entries is NOT good: ${problems.slice(0, 10).join('; ')}`)
}
