import { FolderStore } from './folder.ts'
import type { WormStore } from './store.ts'

/**
 * The store that a text names: `s3://bucket` or `s3://bucket/prefix` (endpoint, region and credentials from the environment, as the
 * AWS SDK reads them), else the path of a folder, which must exist. Asks no server yet. Throws USAGE.
 */
export async function openStore(spec: string): Promise<WormStore> {
  if (!spec.startsWith('s3://')) return await FolderStore.open(spec)
  // The SDK is some 100 modules: only those pay for it who use it.
  const { S3Store } = await import('./s3.ts')
  return S3Store.open(spec)
}
