/** SLSA provenance v1 of a release, signed like every event of Treeline, so that a log takes it as it is. */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { type SigningKey, signEnvelope } from '../../src/client/signing-key.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { type Checkout, program } from './checkout.ts'

interface ProvenanceParts {
  readonly checkout: Checkout
  readonly subjects: readonly string[]
  /** URI of whoever runs the build: what a verifier has to trust. */
  readonly builder: string
  /** URI of the repository; without it the commit stands alone. */
  readonly source?: string
  readonly startedOn: Date
  readonly key: SigningKey
}

/** The DSSE envelope, and the SHA-256 of each subject by its name. */
export function provenanceOf(parts: ProvenanceParts): { envelope: Uint8Array; digests: Map<string, string> } {
  const { checkout, subjects, builder, source, startedOn, key } = parts
  const { folder, commit } = checkout
  const digests = new Map(subjects.map((file) => [basename(file), sha256Of(file)]))
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [...digests].map(([name, sha256]) => ({ name, digest: { sha256 } })),
    predicateType: 'https://slsa.dev/provenance/v1',
    predicate: {
      buildDefinition: {
        buildType: 'urn:treeline:release:v1',
        externalParameters: { commit, ...(source && { source }) },
        resolvedDependencies: [
          { name: 'source', ...(source && { uri: `git+${source}@${commit}` }), digest: { gitCommit: commit } },
          { name: 'package-lock.json', digest: { sha256: sha256Of(join(folder, 'package-lock.json')) } },
        ],
      },
      runDetails: {
        builder: { id: builder, version: { node: process.version, npm: program('npm', ['--version'], folder).trim() } },
        metadata: { startedOn: rfc3339(startedOn), finishedOn: rfc3339(new Date()) },
      },
    },
  }
  const envelope = signEnvelope(IN_TOTO, toUtf8(JSON.stringify(statement)), [key])
  return { envelope, digests }
}

export const sha256Of = (file: string): string => createHash('sha256').update(readFileSync(file)).digest('hex')

const rfc3339 = (time: Date): string => time.toISOString().replace(/\.\d+Z$/, 'Z')
