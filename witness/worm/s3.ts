/**
 * S3 with Object Lock, versioned. Versions, not keys, are what cannot be changed: whoever may write can put a second version over a
 * key or hide it behind a delete marker, and the first is still there by its id. So the oldest version is the truth; a marker changes
 * nothing and is passed over; a second version with the same bytes is what a retried PUT makes where a server ignores
 * `If-None-Match: *`, and one with other bytes is an alarm.
 */
import { createHash } from 'node:crypto'
import { GetObjectRetentionCommand, PutObjectCommand, PutObjectRetentionCommand } from '@aws-sdk/client-s3'
import { equal } from '../../src/core/bytes.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { checkKey, checkSize, isKey, wholeSeconds } from './key.ts'
import { probeS3 } from './probe.ts'
import { S3Bucket, type S3Options } from './s3-bucket.ts'
import { isGone, nameOf } from './s3-errors.ts'
import { listVersions } from './s3-list.ts'
import { type Lock, MAX_OBJECT_SIZE, type ObjectVersion, type WormStore } from './store.ts'

const COMPLIANCE = 'COMPLIANCE'
/** Somebody else wrote the key first, or is about to. */
const TAKEN = ['PreconditionFailed', 'ConditionalRequestConflict']

export class S3Store implements WormStore {
  readonly description: string
  readonly #bucket: S3Bucket
  /** Empty, or with a slash at its end. */
  readonly #prefix: string

  private constructor(bucket: S3Bucket, prefix: string) {
    this.#bucket = bucket
    this.#prefix = prefix
    this.description = `s3://${bucket.name}/${prefix}`.replace(/\/$/, '')
  }

  /** `s3://bucket` or `s3://bucket/prefix`. Asks no server. Throws USAGE. */
  static open(spec: string, options?: S3Options): S3Store {
    const [, bucket, path = ''] = /^s3:\/\/([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:\/(.*))?$/s.exec(spec) ?? []
    const prefix = path.replace(/\/$/, '')
    if (bucket === undefined || (prefix !== '' && !isKey(prefix))) {
      throw new TreelineError('USAGE', `not of the form s3://bucket/prefix: ${spec}`)
    }
    return new S3Store(new S3Bucket(bucket, options), prefix === '' ? '' : `${prefix}/`)
  }

  async put(key: string, bytes: Uint8Array, until: number): Promise<ObjectVersion> {
    checkKey(key)
    checkSize(key, bytes.length, MAX_OBJECT_SIZE)
    let versions = await this.#versions(key)
    let written: string | undefined
    if (versions.length === 0) {
      // Dies after: the version is there with its lock, both or neither, and is found the next time.
      written = await this.#write(key, bytes, wholeSeconds(until))
      versions = await this.#versions(key)
    }
    const [oldest, ...younger] = versions
    if (oldest === undefined) throw new TreelineError('WORM_BROKEN', `${key} was written and is not listed`)
    for (const object of [oldest, ...younger]) {
      if (await this.#holds(object, bytes)) continue
      const which = object === oldest ? '' : 'a second version with '
      throw new TreelineError('WORM_BROKEN', `${key} is there with ${which}other bytes (version ${object.version})`)
    }
    // A lock that was just asked for and is another is not made good but told.
    if (oldest.version === written) await this.#mustLast(oldest, until)
    else await this.extend(oldest, until)
    return oldest
  }

  /** Returns the version, unless others were first. */
  async #write(key: string, bytes: Uint8Array, until: number): Promise<string | undefined> {
    return await this.#bucket.ask(
      `put ${key}`,
      async (client, options) => {
        const command = new PutObjectCommand({
          Bucket: this.#bucket.name,
          Key: this.#prefix + key,
          Body: bytes,
          ContentMD5: createHash('md5').update(bytes).digest('base64'),
          IfNoneMatch: '*',
          // Never the bucket's defaults, which its owner can change.
          ObjectLockMode: COMPLIANCE,
          ObjectLockRetainUntilDate: new Date(until),
        })
        try {
          return (await client.send(command, options)).VersionId
        } catch (error) {
          // Also the answer to our own second try, when only the answer to the first was lost.
          if (TAKEN.includes(nameOf(error))) return undefined
          throw error
        }
      },
      bytes.length,
    )
  }

  async get(object: ObjectVersion): Promise<Uint8Array> {
    const { length, chunks } = await this.#open(object)
    const bytes = new Uint8Array(length)
    let at = 0
    for await (const chunk of chunks) {
      bytes.set(chunk, at)
      at += chunk.length
    }
    return bytes
  }

  /** Compares as it reads: a second copy is never in memory. */
  async #holds(object: ObjectVersion, bytes: Uint8Array): Promise<boolean> {
    const { length, chunks } = await this.#open(object)
    let at = 0
    let same = length === bytes.length
    for await (const chunk of chunks) {
      same &&= equal(chunk, bytes.subarray(at, at + chunk.length))
      if (!same) break
      at += chunk.length
    }
    return same
  }

  async #open({ key, version }: ObjectVersion) {
    checkKey(key)
    return await this.#bucket.open({ key: this.#prefix + key, version })
  }

  async lockOf({ key, version }: ObjectVersion): Promise<Lock> {
    checkKey(key)
    const { Retention: lock } = await this.#bucket.ask(`lock of ${key}`, async (client, options) => {
      // Not HeadObject, which some servers answer without the lock.
      const which = { Bucket: this.#bucket.name, Key: this.#prefix + key, VersionId: version }
      try {
        return await client.send(new GetObjectRetentionCommand(which), options)
      } catch (error) {
        throw isGone(error) ? new TreelineError('WORM_BROKEN', `${key} is gone (version ${version})`) : error
      }
    })
    const until = lock?.RetainUntilDate?.getTime() ?? Number.NaN
    if (lock?.Mode === undefined || Number.isNaN(until)) throw new TreelineError('WORM_BROKEN', `${key} has no lock`)
    return { mode: lock.Mode, until }
  }

  async extend(object: ObjectVersion, until: number): Promise<void> {
    if ((await this.#compliance(object)).until >= until) return
    await this.#bucket.ask(`extend ${object.key}`, (client, options) =>
      client.send(
        new PutObjectRetentionCommand({
          Bucket: this.#bucket.name,
          Key: this.#prefix + object.key,
          VersionId: object.version,
          Retention: { Mode: COMPLIANCE, RetainUntilDate: new Date(wholeSeconds(until)) },
        }),
        options,
      ),
    )
    await this.#mustLast(object, until)
  }

  async #mustLast(object: ObjectVersion, until: number): Promise<void> {
    const stored = await this.#compliance(object)
    if (stored.until >= until) return
    const [asked, is] = [until, stored.until].map((ms) => new Date(ms).toISOString())
    throw new TreelineError('WORM_BROKEN', `${object.key} was locked until ${asked}, and is until ${is}`)
  }

  /** A version of ours never had another mode: one that has was written by others, or by a server that keeps no word. */
  async #compliance(object: ObjectVersion): Promise<Lock> {
    const lock = await this.lockOf(object)
    if (lock.mode === COMPLIANCE) return lock
    throw new TreelineError('WORM_BROKEN', `${object.key} is locked in ${lock.mode} mode, not in ${COMPLIANCE}`)
  }

  async #versions(key: string): Promise<ObjectVersion[]> {
    const versions: ObjectVersion[] = []
    for await (const object of this.list(key)) {
      // Of all keys that begin with this one it is the first.
      if (object.key !== key) break
      versions.push(object)
    }
    return versions
  }

  list(prefix: string, after = ''): AsyncIterable<ObjectVersion> {
    return listVersions(this.#bucket, this.#prefix, prefix, after)
  }

  async probe(): Promise<void> {
    await probeS3(this, this.#bucket, this.#prefix)
  }

  async close(): Promise<void> {
    this.#bucket.close()
  }
}
