/** The witness that `syscalls` hurts while it copies a log: one copy is there, and the log has grown since by events, a batch and a redaction. */
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { cosignatureVerifier } from '../../src/core/cosignature.ts'
import { parseNote, verifyNote } from '../../src/core/note.ts'
import { loadCosigner, loadSnapshotSigner } from '../../witness/cosigner.ts'
import { openState } from '../../witness/folder.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { KeyStore } from '../../witness/seal/key-store.ts'
import { FolderStore } from '../../witness/worm/folder.ts'
import { findNewest } from '../../witness/worm/reader.ts'
import { Snapshotter } from '../../witness/worm/snapshot.ts'
import { verifySnapshot } from '../../witness/worm/verify.ts'
import { redactionRequest } from '../support/actors.ts'
import { statements } from '../support/batch.ts'
import { ask, json, post } from '../support/http.ts'
import { unmakeImmutable } from '../support/immutable.ts'
import { ORIGIN } from '../support/server.ts'
import { admins, setUp } from '../witness/watched-log.ts'
import { tempFolder } from './lane.ts'
import type { SnapshotWork } from './syscall-snapshot.ts'
import { type Subject, writeWork } from './syscall-subject.ts'

const PROGRAM = 'test/lanes/syscall-snapshot.ts'

/** The log is served until the lane ends. */
export async function snapshotSubject(): Promise<Subject> {
  const folder = join(tempFolder(), 'data')
  mkdirSync(join(folder, 'worm'), { recursive: true })
  const keys = new KeyStore(join(folder, 'keys.db'))
  keys.addOrigin(ORIGIN)
  const one = await setUp({ teardown: () => {} } as unknown as Parameters<typeof setUp>[0], { keys })
  const signer = loadSnapshotSigner(one.folder, one.state.name)
  const verifier = logVerifier(signer.key)
  const witnesses = loadCosigner(one.folder, one.state.name).keys.map(cosignatureVerifier)
  const now = () => Date.now()

  for (let i = 0; i < 8; i++) await one.submit(`model/${i}`)
  await one.step()
  const store = await FolderStore.open(join(folder, 'worm'))
  const { log, reader, state } = one
  const logger = { info: () => {} }
  await new Snapshotter({ log, reader, state, signer, verifier, keys, now, logger, store }).step()
  const before = one.audited()
  await store.close()
  unmakeImmutable(join(folder, 'worm'))

  for (let i = 0; i < 8; i++) await one.submit(`model/later-${i}`)
  await one.batch(statements(3))
  const { leafHash } = json(await ask(one.server.url, '/test/v1/events/3'))
  const redacted = await post(
    one.server.url,
    '/test/v1/redactions',
    redactionRequest(ORIGIN, [{ index: 3, leafHash }], admins),
  )
  if (redacted.status !== 201) throw new Error(redacted.body.toString())
  await one.step()
  const size = one.audited()
  cpSync(one.folder, join(folder, 'witness'), { recursive: true })
  keys.close()

  const listed = { vkeys: [one.vkey], url: log.url, keeper: true, genesis: log.genesis }
  const work = writeWork({ listed, size, now: Date.now() } satisfies SnapshotWork)
  return {
    ...{ name: 'snapshots', folder, sample: 90, keptIn: /^worm\// },
    command: (data, early) => [PROGRAM, data, work, ...(early ? ['early'] : [])],
    async examine(data, output) {
      const promised = output.includes(`snapshot ${size}`) ? size : before
      const problems: string[] = []
      const state = openState(join(data, 'witness'))
      const keys = new KeyStore(join(data, 'keys.db'))
      const store = await FolderStore.open(join(data, 'worm'))
      try {
        const found = await findNewest(store, ORIGIN, verifier, state.copies.snapshot(ORIGIN))
        if ((found?.manifest.size ?? 0) < promised) problems.push(`the copy of ${promised} is not there`)
        // What stands under a name is what the name says, or a later put would be refused for ever.
        for await (const object of store.list('')) {
          const digest = createHash('sha256')
            .update(await store.get(object))
            .digest('hex')
          if (!object.key.includes(`/${digest.slice(0, 16)}-`)) problems.push(`${object.key} has other bytes`)
        }
        await new Snapshotter({ log, reader, state, signer, verifier, keys, now, logger, store }).step()
        const checkHead = (note: Parameters<typeof parseNote>[0]) => void verifyNote(parseNote(note), witnesses)
        const report = await verifySnapshot({ store, origin: ORIGIN, verifier, keys, now, checkHead })
        if (report.size !== size) problems.push(`the next copy is of ${report.size}, not ${size}`)
        // The folder was copied for this run, which leaves the flags of files behind.
        const real = report.problems.filter((problem) => !problem.endsWith('is not immutable any more'))
        problems.push(...real.map((problem) => `the next copy: ${problem}`))
      } finally {
        await store.close()
        keys.close()
        state.close()
        unmakeImmutable(join(data, 'worm'))
      }
      return problems
    },
  }
}
