/**
 * Whether an S3 server keeps what Object Lock promises. Asked of it, not read about it: servers exist that store a lock, show it, and
 * let anybody shorten it. The probe needs the rights to delete versions and to bypass governance, or it is refused for want of them.
 */
import { randomBytes } from 'node:crypto'
import {
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  GetObjectLockConfigurationCommand,
  PutObjectRetentionCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { equal, toHex } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { PROBES, wholeSeconds } from './key.ts'
import type { S3Bucket } from './s3-bucket.ts'
import { nameOf, s3Error, statusOf } from './s3-errors.ts'
import type { Lock, WormStore } from './store.ts'

const HOUR = 3_600_000
const DAY = 24 * HOUR

/**
 * How servers say that a lock forbids it: AWS, Ceph and Versity AccessDenied, MinIO's family InvalidRequest, ObjectLocked or
 * MethodNotAllowed. Nothing else counts: a request that was malformed, badly signed or not understood shows nothing about locks. That
 * InvalidRequest is not such a one either is shown by the extension, which is the same request with a later date and must be taken.
 */
const REFUSALS = ['AccessDenied', 'InvalidRequest', 'ObjectLocked', 'MethodNotAllowed']

type Send = (client: S3Client, options: { requestTimeout: number }) => Promise<unknown>

/** Leaves one object of 64 bytes, locked for a day. Throws WORM_BROKEN naming the step, UNREACHABLE, or USAGE. */
export async function probeS3(store: WormStore, bucket: S3Bucket, prefix: string): Promise<void> {
  await checkBucket(bucket)
  const bytes = randomBytes(64)
  const until = wholeSeconds(Date.now() + DAY)
  const object = await store.put(PROBES + toHex(randomBytes(16)), bytes, until)
  const check = async (step: string, expected: number): Promise<void> => {
    const { mode, until: stored } = await store.lockOf(object)
    if (mode === 'COMPLIANCE' && stored === expected) return
    throw broken(`${step}: the lock read back is ${lockText({ mode, until: stored })}`)
  }
  await check('put', until)
  const longer = until + HOUR
  await store.extend(object, longer)
  await check('extend', longer)

  const version = { Bucket: bucket.name, Key: prefix + object.key, VersionId: object.version }
  const remove = (bypass: boolean): Send => {
    const command = new DeleteObjectCommand({ ...version, ...(bypass && { BypassGovernanceRetention: true }) })
    return (client, options) => client.send(command, options)
  }
  const retain = (Mode: 'COMPLIANCE' | 'GOVERNANCE', end: number, bypass: boolean): Send => {
    const Retention = { Mode, RetainUntilDate: new Date(end) }
    const command = new PutObjectRetentionCommand({
      ...version,
      Retention,
      ...(bypass && { BypassGovernanceRetention: true }),
    })
    return (client, options) => client.send(command, options)
  }
  for (const bypass of [false, true]) {
    const rights = bypass ? ' with bypass of governance' : ''
    await mustRefuse(bucket, `delete by version${rights}`, remove(bypass))
    await mustRefuse(bucket, `shorten${rights}`, retain('COMPLIANCE', until, bypass))
    await mustRefuse(bucket, `change to GOVERNANCE${rights}`, retain('GOVERNANCE', longer, bypass))
  }
  // A refusal may be a word only.
  await check('after all refusals', longer)
  if (!equal(await store.get(object), bytes)) throw broken('after all refusals: other bytes are read back')
}

async function checkBucket(bucket: S3Bucket): Promise<void> {
  const { Status: versioning } = await bucket.ask('probe: versioning', (client, options) =>
    client.send(new GetBucketVersioningCommand({ Bucket: bucket.name }), options),
  )
  if (versioning !== 'Enabled') throw broken(`versioning of ${bucket.name} is ${versioning ?? 'off'}, not Enabled`)
  const { ObjectLockConfiguration: lock } = await bucket.ask('probe: object lock configuration', (client, options) =>
    client.send(new GetObjectLockConfigurationCommand({ Bucket: bucket.name }), options),
  )
  if (lock?.ObjectLockEnabled !== 'Enabled') throw broken(`object lock configuration of ${bucket.name} is not Enabled`)
}

async function mustRefuse(bucket: S3Bucket, step: string, send: Send): Promise<void> {
  try {
    await bucket.askRaw(send)
  } catch (error) {
    const status = statusOf(error)
    if (REFUSALS.includes(nameOf(error)) && status >= 400 && status < 500) return
    const { code, message } = s3Error(error, `probe: ${step}`)
    // An answer that is neither a yes nor a known no proves nothing.
    throw new TreelineError(code === 'USAGE' ? 'USAGE' : 'UNREACHABLE', message, {}, { cause: error })
  }
  throw broken(`the store let pass: ${step}`)
}

const broken = (text: string): TreelineError => new TreelineError('WORM_BROKEN', `probe: ${text}`)
const lockText = ({ mode, until }: Lock): string => `${mode} until ${new Date(until).toISOString()}`
