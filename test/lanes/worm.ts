/**
 * Write-once storage on real S3 servers: two that keep Object Lock must pass the contract and the probe; a server that breaks its word
 * in one way must be refused with the name of that way; and whatever a network, a dying server or a second writer does, one truth stays.
 */
import { randomBytes } from 'node:crypto'
import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { equal, toUtf8 } from '../../src/core/bytes.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { S3Store } from '../../witness/worm/s3.ts'
import { MAX_OBJECT_SIZE, type ObjectVersion, type WormStore } from '../../witness/worm/store.ts'
import { codeOf, wormContract } from '../witness/worm-contract.ts'
import { BadLine } from './bad-line.ts'
import { check, lane } from './lane.ts'
import { Liar, type Lie } from './s3-liar.ts'
import {
  type Ceph,
  makeBucket,
  rawClient,
  type S3Server,
  startCeph,
  startMoto,
  startVersity,
  useServer,
} from './s3-servers.ts'
import { killedWriters } from './worm-killed.ts'

const HOUR = 3_600_000
const UNTIL = Math.floor(Date.now() / 1000) * 1000 + HOUR
const KEY = 'log/entries/0-5'
const BYTES = toUtf8('five entries')
/** Does not fit into what the kernel buffers of a connection. */
const LARGE = new Uint8Array(randomBytes(24 * 2 ** 20))
/** ms; a stalled request is tried three times. */
const SHORT = 500

/** A promise must fail with this code, and say this. */
async function refused(name: string, promise: Promise<unknown>, code: string, says: string | RegExp): Promise<void> {
  const error = await promise.then(
    () => ({ code: 'nothing', message: '' }),
    (caught: Error & { code?: string }) => caught,
  )
  const said = typeof says === 'string' ? error.message.endsWith(says) : says.test(error.message)
  check(name, error.code === code && said, `${error.code}: ${error.message}`)
}

async function versionsOf(store: WormStore, prefix: string, after?: string): Promise<ObjectVersion[]> {
  const versions: ObjectVersion[] = []
  for await (const version of store.list(prefix, after)) versions.push(version)
  return versions
}

/** What the law is, and that both servers keep it. */
async function honest(name: string, server: S3Server): Promise<void> {
  useServer(server.url)
  const bucket = await makeBucket(rawClient(server))
  const store = await openStore(`s3://${bucket}/some/prefix`)
  const began = performance.now()
  await wormContract(store, (law, condition, detail) => check(`${name}: ${law}`, condition, detail))
  console.log(`  ${name}: the contract took ${((performance.now() - began) / 1000).toFixed(1)} s`)
  const probes = await versionsOf(store, 'probe/')
  check(`${name}: a probe leaves one locked object`, probes.length > 0)
  for (const probe of probes) await store.lockOf(probe)
  check(
    `${name}: nothing is outside the prefix`,
    (await versionsOf(await openStore(`s3://${bucket}`), 'probe/')).length === 0,
  )
  await store.close()
}

/** Buckets of honest servers that keep no lock. */
async function unlocked(name: string, server: S3Server): Promise<void> {
  useServer(server.url)
  const client = rawClient(server)
  const bucket = await makeBucket(client, false)
  const store = await openStore(`s3://${bucket}`)
  await refused(
    `${name}: no versioning, no lock`,
    store.probe(),
    'WORM_BROKEN',
    `versioning of ${bucket} is off, not Enabled`,
  )
  await client.send(new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Enabled' } }))
  await refused(
    `${name}: versioning, no lock`,
    store.probe(),
    'WORM_BROKEN',
    /probe: object lock configuration: ObjectLockConf/,
  )
  await refused(`${name}: nothing is put there`, store.put(KEY, BYTES, UNTIL), 'WORM_BROKEN', /put log.*InvalidRequest/)
  // Versity stores what it has just refused; its lock is missed then.
  await refused(`${name}: nor the second time`, store.put(KEY, BYTES, UNTIL), 'WORM_BROKEN', /put log|lock of log/)
  await refused(`${name}: no such bucket`, S3Store.open('s3://no-such-bucket').probe(), 'USAGE', /NoSuchBucket/)
}

/** moto, alone and with locks kept in front of it: first all of them, then all but one. */
async function liars(): Promise<void> {
  const moto = await startMoto()
  useServer(moto.url)
  const client = rawClient(moto)
  const bucket = await makeBucket(client)
  await refused(
    'moto cannot say which lock it keeps',
    S3Store.open(`s3://${bucket}`).probe(),
    'UNREACHABLE',
    /lock of probe/,
  )

  const liar = await Liar.before(moto.url)
  useServer(liar.url)
  const store = await openStore(`s3://${bucket}`)
  check(
    'moto behind a keeper of locks passes',
    (await codeOf(store.probe())) === 'none',
    String(await store.probe().catch((e) => e)),
  )
  const steps = ['delete by version', 'shorten', 'change to GOVERNANCE'].flatMap((step) => [
    step,
    `${step} with bypass of governance`,
  ])
  const lies: [Lie, string, string | RegExp][] = [
    ...steps.flatMap((step): [Lie, string, string | RegExp][] => [
      [{ step, does: 'pass' }, 'WORM_BROKEN', `the store let pass: ${step}`],
      [{ step, does: 'fail' }, 'UNREACHABLE', new RegExp(`probe: ${step}: InternalError`)],
      [{ step, does: 'nonsense' }, 'UNREACHABLE', new RegExp(`probe: ${step}: MalformedXML`)],
    ]),
    [{ step: steps[3]!, does: 'done' }, 'WORM_BROKEN', /after all refusals: the lock read back is COMPLIANCE until/],
    [{ step: steps[5]!, does: 'done' }, 'WORM_BROKEN', /after all refusals: the lock read back is GOVERNANCE until/],
    [{ does: 'forget' }, 'WORM_BROKEN', /lock of probe.*NoSuchObjectLockConfiguration/],
    [{ does: 'weaken' }, 'WORM_BROKEN', /is locked in GOVERNANCE mode, not in COMPLIANCE/],
    [{ does: 'earlier' }, 'WORM_BROKEN', /was locked until .*, and is until/],
    [{ does: 'spoil' }, 'WORM_BROKEN', /other bytes/],
  ]
  for (const [lie, code, says] of lies) {
    liar.lie = lie
    await refused(`a store that lies: ${lie.does} ${lie.step ?? ''}`, store.probe(), code, says)
  }
  liar.lie = undefined
  check('and passes again', (await codeOf(store.probe())) === 'none')

  await client.send(
    new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Suspended' } }),
  )
  await refused('versioning is suspended', store.probe(), 'WORM_BROKEN', /versioning of .* is Suspended, not Enabled/)
  liar.close()
  await moto.stop()
}

/** Who may not, and what is not there. */
async function access(ceph: Ceph, bucket: string): Promise<void> {
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
async function badLine(ceph: Ceph, bucket: string): Promise<void> {
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
  line.faults = { stallAfter: 2 ** 20 }
  // Its limit has a part for the length: 24 MiB at 256 bytes/ms are 98 s, so a shorter one.
  line.faults = {}
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

/** What a second program with the same rights can do to a key. */
async function secondWriter(ceph: Ceph, bucket: string): Promise<void> {
  useServer(ceph.url)
  const client = rawClient(ceph)
  const store = await openStore(`s3://${bucket}/second`)
  const raw = (key: string, body: Uint8Array, mode?: 'COMPLIANCE' | 'GOVERNANCE') =>
    client.send(
      new PutObjectCommand({
        Bucket: bucket,
        Key: `second/${key}`,
        Body: body,
        ...(mode !== undefined && { ObjectLockMode: mode, ObjectLockRetainUntilDate: new Date(UNTIL) }),
        ContentMD5: undefined,
        ChecksumAlgorithm: 'SHA256',
      }),
    )
  const object = await store.put(KEY, BYTES, UNTIL)
  await raw(KEY, BYTES)
  const same = await store.put(KEY, BYTES, UNTIL + HOUR)
  check('an equal second version changes nothing', same.version === object.version)
  check('the lock of the first is extended', (await store.lockOf(object)).until === UNTIL + HOUR)
  const listed = await versionsOf(store, KEY)
  check('both are listed, the first first', listed.length === 2 && listed[0]?.version === object.version)

  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: `second/${KEY}` }))
  check('a delete marker hides nothing', equal(await store.get(object), BYTES))
  check('nor makes it be written again', (await store.put(KEY, BYTES, UNTIL)).version === object.version)
  check('nor is it listed', (await versionsOf(store, KEY)).length === 2)

  await raw(KEY, toUtf8('FIVE entries'), 'COMPLIANCE')
  await refused(
    'another second version',
    store.put(KEY, BYTES, UNTIL),
    'WORM_BROKEN',
    /a second version with other bytes/,
  )
  await refused('of another length', store.put(KEY, toUtf8('six'), UNTIL), 'WORM_BROKEN', /is there with other bytes/)
  check('the first is still read by its version', equal(await store.get(object), BYTES))
  await raw('squatted', toUtf8('FIVE entries'), 'COMPLIANCE')
  await refused('a key taken before', store.put('squatted', BYTES, UNTIL), 'WORM_BROKEN', /is there with other bytes/)
  await raw('open', BYTES)
  await refused('taken with our bytes and no lock', store.put('open', BYTES, UNTIL), 'WORM_BROKEN', /lock of open/)
  await raw('weak', BYTES, 'GOVERNANCE')
  await refused('or with a weaker one', store.put('weak', BYTES, UNTIL), 'WORM_BROKEN', /GOVERNANCE mode/)
  const [open] = await versionsOf(store, 'open')
  await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'second/open', VersionId: open!.version }))
  await refused('a version that is gone', store.get(open!), 'WORM_BROKEN', /open is gone/)
  await raw('long', new Uint8Array(MAX_OBJECT_SIZE + 1), 'COMPLIANCE')
  const [long] = await versionsOf(store, 'long')
  await refused('an object too long is not read', store.get(long!), 'WORM_BROKEN', /long has 134217729 bytes/)
  const [first = '', second = ''] = await Promise.all([1, 2].map(() => codeOf(store.put('race', BYTES, UNTIL))))
  check('two at once agree', first === 'none' && second === 'none', `${first} ${second}`)
}

/** More versions than one answer holds. */
async function manyVersions(server: S3Server): Promise<void> {
  useServer(server.url)
  const client = rawClient(server)
  const bucket = await makeBucket(client)
  const keys = Array.from({ length: 400 }, (_, i) => `many/${String(i).padStart(4, '0')}`)
  const expected = (await inTurn(client, bucket, keys, 3)).flat()
  const store = await openStore(`s3://${bucket}`)
  const listed = (await versionsOf(store, 'many/')).map(({ key, version }) => `${key} ${version}`)
  check(
    '1,200 versions are listed, by key, oldest first',
    listed.join('\n') === expected.join('\n'),
    `${listed.length}`,
  )
  const rest = await versionsOf(store, 'many/', keys[99])
  check('and those after a key', rest.length === 900 && rest[0]?.key === keys[100], `${rest.length}`)
}

/** Writes some versions of each key, one after the other. */
async function inTurn(client: S3Client, bucket: string, keys: readonly string[], times: number): Promise<string[][]> {
  const versions = keys.map((): string[] => [])
  const write = async (worker: number): Promise<void> => {
    for (let i = worker; i < keys.length; i += 8) {
      for (let n = 0; n < times; n++) {
        const { VersionId } = await client.send(new PutObjectCommand({ Bucket: bucket, Key: keys[i], Body: `${n}` }))
        versions[i]!.push(`${keys[i]} ${VersionId}`)
      }
    }
  }
  await Promise.all(Array.from({ length: 8 }, (_, worker) => write(worker)))
  return versions
}

/** The server itself dies, at some moment of a PUT. */
async function dyingServer(ceph: Ceph, bucket: string): Promise<void> {
  useServer(ceph.url)
  const client = rawClient(ceph)
  for (const wait of [20, 150]) {
    const key = `dying/${wait}`
    const dying = codeOf(S3Store.open(`s3://${bucket}`).put(key, LARGE, UNTIL))
    await new Promise((resolve) => setTimeout(resolve, wait))
    await ceph.killGateway()
    const code = await dying
    await ceph.startGateway()
    const store = await openStore(`s3://${bucket}`)
    const object = await store.put(key, LARGE, UNTIL)
    const { Versions = [] } = await client.send(new ListObjectVersionsCommand({ Bucket: bucket, Prefix: key }))
    console.log(`  killed after ${wait} ms: ${code}; after the next PUT ${Versions.length} version(s)`)
    check(`killed after ${wait} ms, the PUT is not taken for done`, code === 'UNREACHABLE', code)
    check('what is put again is whole', equal(await store.get(object), LARGE))
    check('and locked', (await store.lockOf(object)).until === UNTIL)
  }
}

await lane(async () => {
  const began = performance.now()
  const section = async (name: string, body: Promise<void>) => {
    await body
    console.log(`  ${name} at ${((performance.now() - began) / 1000).toFixed(1)} s`)
  }
  await section('folder', killedWriters())
  await section('liars', liars())
  const versity = await startVersity()
  await section('Versity', honest('Versity', versity))
  await section('Versity unlocked', unlocked('Versity', versity))
  await section('many versions', manyVersions(versity))
  await versity.stop()
  const ceph = await startCeph()
  const bucket = await makeBucket(rawClient(ceph))
  await section('Ceph', honest('Ceph', ceph))
  await section('Ceph unlocked', unlocked('Ceph', ceph))
  await section('access', access(ceph, bucket))
  await section('second writer', secondWriter(ceph, bucket))
  await section('bad line', badLine(ceph, bucket))
  await section('dying server', dyingServer(ceph, bucket))
  await ceph.stop()
})
