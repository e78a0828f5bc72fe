/**
 * Disks that are full: of a log, of a witness, of the copies of a log. What was promised stays, what cannot be kept is not promised, reads go on,
 * and once there is room everything goes on. As root: each disk is a small one of its own, mounted for the lane. (A limit of the size of files is
 * in test/cmd/server.test.ts.)
 */
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { cosignatureVerifier } from '../../src/core/cosignature.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { parseNote, verifyNote } from '../../src/core/note.ts'
import { loadCosigner, loadSnapshotSigner } from '../../witness/cosigner.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { FolderStore } from '../../witness/worm/folder.ts'
import { Snapshotter } from '../../witness/worm/snapshot.ts'
import { verifySnapshot } from '../../witness/worm/verify.ts'
import { GrowingLogs } from '../bench/growing-logs.ts'
import { Actor, event } from '../support/actors.ts'
import { makeEventLog, ORIGIN } from '../support/server.ts'
import { setUp } from '../witness/watched-log.ts'
import { check, lane, must, startProgram, startServer, tempFolder, treelineServer, treeSize } from './lane.ts'

const JSON_TYPE = { 'content-type': 'application/json' }

/** Calls `work` with a disk of so many MiB. */
async function onDisk(mebibytes: number, work: (disk: string) => Promise<void>): Promise<void> {
  const disk = join(tempFolder(), 'disk')
  mkdirSync(disk)
  await must('mount', ['-t', 'tmpfs', '-o', `size=${mebibytes}m`, 'treeline-lane', disk])
  try {
    await work(disk)
  } finally {
    await must('umount', ['-l', disk])
  }
}

/** Takes all room but so many KiB; what it returns gives it back. */
function fill(disk: string, kibibytes: number): () => void {
  const { bavail, bsize } = statfsSync(disk)
  const file = join(disk, 'ballast')
  writeFileSync(file, Buffer.alloc(Math.max(0, bavail * bsize - kibibytes * 1024)))
  return () => rmSync(file)
}

async function logOn(disk: string): Promise<void> {
  const actor = new Actor()
  await makeEventLog(disk, [new Actor()], [{ actor }])
  const server = await startServer(disk, ['--log-level', 'fatal', '--publish-interval', '50'])
  const acknowledged: string[] = []
  const statuses: Record<string, number> = {}
  const submit = async (url: string, body: string): Promise<number> => {
    const answer = await fetch(`${url}/test/v1/events`, { method: 'POST', headers: JSON_TYPE, body })
    const { code } = (await answer.json()) as { code?: string }
    if (code !== undefined) statuses[code] = (statuses[code] ?? 0) + 1
    return answer.status
  }
  const deadline = performance.now() + 30_000
  let failed = false
  await Promise.all(
    Array.from({ length: 16 }, async (_, lane) => {
      for (let i = 0; !failed && performance.now() < deadline; i++) {
        const body = event(actor, `model/${lane}-${i}`, { padding: 'x'.repeat(2_000 + 997 * (i % 20)) })
        const status = await submit(server.url, body)
        if (status === 201) acknowledged.push(body)
        else failed = true
      }
    }),
  )
  check(
    `a log on a full disk: ${acknowledged.length} events are acknowledged, then none (${JSON.stringify(statuses)})`,
    failed && acknowledged.length > 50 && Object.keys(statuses).join() === 'STORAGE_FAILED',
  )
  const ready = await fetch(`${server.url}/readyz`)
  check('it says so, and why', ready.status === 503 && /STORAGE_FAILED/.test(await ready.text()))
  check('reads go on', (await fetch(`${server.url}/test/v1/evidence/1`)).status === 200)
  const checkpoint = await (await fetch(`${server.url}/test/checkpoint`)).text()
  check('it ends well', (await server.stop()) === 0)

  await must('mount', ['-o', 'remount,size=256m', disk])
  const again = await startServer(disk, ['--log-level', 'error', '--publish-interval', '50'])
  const lost: number[] = []
  for (const [i, body] of acknowledged.entries()) if ((await submit(again.url, body)) !== 200) lost.push(i)
  check(`once there is room each of them is there`, lost.length === 0, `${lost.length} are not`)
  check('and others are taken', (await submit(again.url, event(actor, 'model/after'))) === 201)
  const [, size] = checkpoint.split('\n')
  const now = await treeSize(again.url)
  const consistency = await fetch(`${again.url}/test/v1/proofs/consistency?from=${size}&to=${now}`)
  check('what was published is a prefix of it', consistency.status === 200 && Number(size) <= now)
  await again.stop()
  const { code, output } = await treelineServer('check', '--data', disk)
  check('the log agrees with itself', code === 0, output)
}

async function witnessOn(disk: string): Promise<void> {
  const data = join(disk, 'witness')
  const program = 'cmd/treeline-witness.ts'
  await must(process.execPath, [program, 'init', '--data', data, '--name', 'lane.example/w'])
  const growing = new GrowingLogs(1, 400)
  const logs = join(data, 'logs.json')
  writeFileSync(logs, JSON.stringify({ logs: growing.vkeys.map((vkey) => ({ vkeys: [vkey] })) }))
  const bodies = growing.bodies(0, 380)
  const run = () =>
    startProgram(program, ['run', '--data', data, '--logs', logs, '--listen', '127.0.0.1:0', '--log-level', 'fatal'])
  const ask = async (url: string, i: number) => {
    const answer = await fetch(`${url}/add-checkpoint`, { method: 'POST', body: bodies[i]! })
    return { status: answer.status, text: await answer.text() }
  }
  const server = await run()
  let cosigned = 0
  while (cosigned < 20 && (await ask(server.url, cosigned)).status === 200) cosigned++
  const free = fill(disk, 64)
  let refusal = { status: 200, text: '' }
  while (cosigned < bodies.length && refusal.status === 200) {
    refusal = await ask(server.url, cosigned)
    if (refusal.status === 200) cosigned++
  }
  check(
    `a witness on a full disk cosigns ${cosigned} heads, then none (${refusal.status})`,
    cosigned > 20 && cosigned < bodies.length && refusal.status >= 500 && !refusal.text.startsWith('—'),
    refusal.text,
  )
  await server.stop()
  free()
  const again = await run()
  check(
    'once there is room it goes on from the last head that it cosigned',
    (await ask(again.url, cosigned)).status === 200,
  )
  check('and from no earlier one', (await ask(again.url, cosigned - 1)).status === 409)
  await again.stop()
}

async function copiesOn(disk: string): Promise<void> {
  const undo: (() => unknown)[] = []
  const one = await setUp({ teardown: (f: () => unknown) => void undo.unshift(f) } as unknown as Parameters<
    typeof setUp
  >[0])
  const signer = loadSnapshotSigner(one.folder, one.state.name)
  const verifier = logVerifier(signer.key)
  const witnesses = loadCosigner(one.folder, one.state.name).keys.map(cosignatureVerifier)
  const store = await FolderStore.open(disk)
  const { log, reader, state, now } = one
  const snapshotter = () =>
    new Snapshotter({ log, reader, state, signer, verifier, keys: undefined, now, logger: { info: () => {} }, store })
  const verify = () =>
    verifySnapshot({
      ...{ store, origin: ORIGIN, verifier, keys: undefined, now },
      checkHead: (note) => void verifyNote(parseNote(note), witnesses),
    })
  for (let i = 0; i < 40; i++) await one.submit(`model/${i}`)
  await one.step()
  await snapshotter().step()
  const before = await verify()
  for (let i = 0; i < 40; i++) await one.submit(`model/later-${i}`)
  await one.step()
  const free = fill(disk, 12)
  const error = await snapshotter()
    .step()
    .then(
      () => undefined,
      (error: unknown) => error,
    )
  check('copies on a full disk: the next one fails, and says so', error instanceof TreelineError, String(error))
  const meanwhile = await verify()
  check(
    'the one before is whole',
    meanwhile.size === before.size && meanwhile.problems.length === 0,
    JSON.stringify(meanwhile),
  )
  free()
  await snapshotter().step()
  const after = await verify()
  check(
    `once there is room the next one is (${after.size})`,
    after.size === one.audited() && after.problems.length === 0,
    JSON.stringify(after),
  )
  for (const one of undo) await one()
}

await lane(async () => {
  await onDisk(8, logOn)
  await onDisk(4, witnessOn)
  await onDisk(4, copiesOn)
})
