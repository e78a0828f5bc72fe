import { ListObjectVersionsCommand } from '@aws-sdk/client-s3'
import { TreelineError } from '../../src/core/errors.ts'
import { isKey } from './key.ts'
import type { S3Bucket } from './s3-bucket.ts'
import type { ObjectVersion } from './store.ts'

/**
 * As `list` of a store whose keys begin with `root` in the bucket. One page in memory, and the versions of one key. Delete markers are no
 * versions. Throws UNREACHABLE where the server's pages have no order or no end.
 */
export async function* listVersions(
  bucket: S3Bucket,
  root: string,
  prefix: string,
  after: string,
): AsyncIterable<ObjectVersion> {
  let group: ObjectVersion[] = []
  for await (const object of listed(bucket, root, prefix, after)) {
    if (group[0] !== undefined && object.key !== group[0].key) {
      if (object.key < group[0].key)
        throw new TreelineError('UNREACHABLE', `${bucket.name}: keys are listed out of order`)
      yield* group.reverse()
      group = []
    }
    group.push(object)
  }
  yield* group.reverse()
}

/** As S3 lists: the newest version of a key first. That order counts, not the times, which some servers keep in whole seconds. */
async function* listed(bucket: S3Bucket, root: string, prefix: string, after: string): AsyncIterable<ObjectVersion> {
  let [fromKey, fromVersion]: (string | undefined)[] = after === '' ? [] : [root + after]
  for (;;) {
    const page = await bucket.ask(`list ${prefix}`, (client, options) =>
      client.send(
        new ListObjectVersionsCommand({
          Bucket: bucket.name,
          Prefix: root + prefix,
          KeyMarker: fromKey,
          VersionIdMarker: fromVersion,
        }),
        options,
      ),
    )
    // A page of anything else would read as an empty store.
    if (page.Name !== bucket.name) throw new TreelineError('UNREACHABLE', `${bucket.name}: not a listing of it`)
    for (const { Key = '', VersionId: version = '' } of page.Versions ?? []) {
      // Some servers begin at the marker, some after it; of AWS it is after.
      if (Key === fromKey && version === fromVersion) continue
      const key = Key.slice(root.length)
      // What is no key of ours was put there by others.
      if (key > after && isKey(key)) yield { key, version }
    }
    if (page.IsTruncated !== true) return
    const { NextKeyMarker: nextKey, NextVersionIdMarker: nextVersion } = page
    if (nextKey === undefined || (nextKey === fromKey && nextVersion === fromVersion)) {
      throw new TreelineError('UNREACHABLE', `${bucket.name}: the same page is listed again`)
    }
    fromKey = nextKey
    fromVersion = nextVersion
  }
}
