/** Who may not, what is not there, and what breaks on the way. */
import { randomBytes } from 'node:crypto'
import { equal } from '../../src/core/bytes.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { S3Store } from '../../witness/worm/s3.ts'
import { codeOf } from '../witness/worm-contract.ts'
import { BadLine, type Faults } from './bad-line.ts'
import { check } from './lane.ts'
import { type Ceph, useServer } from './s3-servers.ts'
import { BYTES, KEY, refused, UNTIL, versionsOf } from './worm-checks.ts'

/** Does not fit into what the kernel buffers of a connection. */
const LARGE = new Uint8Array(randomBytes(24 * 2 ** 20))
/** ms; a stalled request is tried three times. */
const SHORT = 500

export async function access(ceph: Ceph, bucket: string): Promise<void> {
  useServer(ceph.url, { key: 'wormkey', secret: 'wrong' })
  await refused('a wrong secret', S3Store.open(`s3://${bucket}`).probe(), 'USAGE', /SignatureDoesNotMatch/)
  useServer(ceph.url, { key: 'nobody', secret: 'wrong' })
  await refused('an unknown key', S3Store.open(`s3://${bucket}`).probe(), 'USAGE', /InvalidAccessKeyId/)
  useServer(ceph.url, await ceph.makeStranger())
  await refused('a user without rights', S3Store.open(`s3://${bucket}`).probe(), 'USAGE', /AccessDenied/)
  await refused('who may not put', S3Store.open(`s3://${bucket}`).put(KEY, BYTES, UNTIL), 'USAGE', /AccessDenied/)
  useServer('http://127.0.0.1:1')
  const down = S3Store.open(`s3://${bucket}`)
  await refused('a server that is down', down.probe(), 'UNREACHABLE', /ECONNREFUSED/)
  await refused('and cannot be put to', down.put(KEY, BYTES, UNTIL), 'UNREACHABLE', /ECONNREFUSED/)
}

/** Between the store and Ceph. */
export async function badLine(ceph: Ceph, bucket: string): Promise<void> {
  const line = await BadLine.to(ceph.url)
  useServer(line.url)
  const store = S3Store.open(`s3://${bucket}/line`, { timeout: SHORT })
  const object = await store.put(KEY, LARGE, UNTIL)
  check('a good line carries 24 MiB', equal(await store.get(object), LARGE))

  const timed = async (name: string, promise: Promise<unknown>, ms: number): Promise<void> => {
    const began = performance.now()
    await refused(name, promise, 'UNREACHABLE', /./)
    const took = performance.now() - began
    check(`${name}: it took no longer than ${ms} ms`, took < ms, `${took} ms`)
  }
  line.faults = { stallAfter: 0 }
  const stalled = () => S3Store.open(`s3://${bucket}/line`, { timeout: SHORT })
  await timed('a server that does not answer', stalled().put('slow', BYTES, UNTIL), 3 * SHORT + 2_000)
  line.faults = {}
  // The limit has a part for the length, 1,024 ms for this.
  const small = await store.put('small', LARGE.subarray(0, 2 ** 18), UNTIL)
  line.faults = { stallAfter: 2 ** 16 }
  await timed('a server that stops within an object', stalled().get(small), SHORT + 2 ** 10 + 1_500)

  line.faults = { cutAfter: 2 ** 20 }
  const cut = S3Store.open(`s3://${bucket}/line`)
  await refused('a line that breaks within a PUT', cut.put('cut', LARGE, UNTIL), 'UNREACHABLE', /./)
  line.faults = {}
  check('leaves nothing', (await versionsOf(store, 'cut')).length === 0)
  const whole = await cut.put('cut', LARGE, UNTIL)
  check('and the next PUT makes one version', (await versionsOf(store, 'cut')).length === 1)
  check('with all bytes', equal(await store.get(whole), LARGE))

  line.faults = { loseAnswers: { method: 'PUT', left: 1 } }
  const twice = await S3Store.open(`s3://${bucket}/line`).put('twice', BYTES, UNTIL)
  const versions = await versionsOf(store, 'twice')
  console.log(`  a PUT whose answer was lost was sent again: ${versions.length} versions`)
  check('the oldest of a repeated PUT is the truth', twice.version === versions[0]?.version)
  check('and stays it', (await store.put('twice', BYTES, UNTIL)).version === twice.version)
  line.close()
}

/** The gateway itself is killed: within a PUT, early and late, and when it has just answered. */
export async function dyingServer(ceph: Ceph, bucket: string): Promise<void> {
  const moments: Readonly<Record<string, Faults>> = {
    'after 64 KiB': { cutAfter: 2 ** 16 },
    'after 16 MiB': { cutAfter: 2 ** 24 },
    'at its answer': { loseAnswers: { method: 'PUT', left: 1 } },
  }
  for (const [when, faults] of Object.entries(moments)) {
    const line = await BadLine.to(ceph.url)
    line.faults = { ...faults, onBreak: () => ceph.killGateway() }
    useServer(line.url)
    const key = `dying/${when.replaceAll(' ', '-')}`
    const code = await codeOf(S3Store.open(`s3://${bucket}`).put(key, LARGE, UNTIL))
    check(`killed ${when}, a PUT is not taken for done`, code === 'UNREACHABLE', code)
    line.close()
    await ceph.startGateway()
    useServer(ceph.url)
    const store = await openStore(`s3://${bucket}`)
    const before = await versionsOf(store, key)
    const object = await store.put(key, LARGE, UNTIL)
    const after = await versionsOf(store, key)
    check('what is put again is one version', after.length === 1, `${after.length}`)
    check('that which was there, if any', (before[0]?.version ?? object.version) === object.version)
    check('whole', equal(await store.get(object), LARGE))
    check('and locked', (await store.lockOf(object)).until === UNTIL)
    console.log(`  killed ${when}: ${before.length} version before the next PUT`)
  }
}
