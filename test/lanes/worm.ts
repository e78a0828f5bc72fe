/**
 * Write-once storage on real S3 servers: two that keep Object Lock must pass the contract and the probe; a server that breaks its word
 * in one way must be refused with the name of that way; and whatever a network, a dying server or a second writer does, one truth stays.
 */
import { PutBucketVersioningCommand } from '@aws-sdk/client-s3'
import { openStore } from '../../witness/worm/open-store.ts'
import { wormContract } from '../witness/worm-contract.ts'
import { check, lane } from './lane.ts'
import { makeBucket, rawClient, type S3Server, startCeph, startVersity, useServer } from './s3-servers.ts'
import { BYTES, KEY, refused, UNTIL, versionsOf } from './worm-checks.ts'
import { killedWriters } from './worm-killed.ts'
import { liars } from './worm-liars.ts'
import { access, badLine, dyingServer } from './worm-network.ts'
import { manyVersions, secondWriter } from './worm-versions.ts'

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
  await refused(`${name}: no such bucket`, (await openStore('s3://no-such-bucket')).probe(), 'USAGE', /NoSuchBucket/)
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
