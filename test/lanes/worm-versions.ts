import { DeleteObjectCommand, PutObjectCommand, type S3Client } from '@aws-sdk/client-s3'
import { equal, toUtf8 } from '../../src/core/bytes.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { MAX_OBJECT_SIZE } from '../../witness/worm/store.ts'
import { codeOf } from '../witness/worm-contract.ts'
import { check } from './lane.ts'
import { type Ceph, makeBucket, rawClient, type S3Server, useServer } from './s3-servers.ts'
import { BYTES, KEY, refused, UNTIL, versionsOf } from './worm-checks.ts'

const HOUR = 3_600_000

/** What a second program with the same rights can do to a key. */
export async function secondWriter(ceph: Ceph, bucket: string): Promise<void> {
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
export async function manyVersions(server: S3Server): Promise<void> {
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
