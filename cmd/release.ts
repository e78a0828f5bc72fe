/**
 * Makes a release of one commit: a tarball that installs without a network, an SBOM of all that is in it, and a signed SLSA provenance of both.
 * docs/release.md says how it is made, logged and verified.
 *
 *   npm run release -- --key release.key --builder https://ci.example.com/release [--source URI] [--commit HEAD] [--out dist/release]
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import { SigningKey } from '../src/client/signing-key.ts'
import { checkOut } from './release/checkout.ts'
import { packageOf } from './release/package.ts'
import { provenanceOf } from './release/provenance.ts'
import { sbomOf } from './release/sbom.ts'

const { values } = parseArgs({
  options: {
    key: { type: 'string' },
    builder: { type: 'string' },
    source: { type: 'string' },
    commit: { type: 'string', default: 'HEAD' },
    out: { type: 'string', default: 'dist/release' },
  },
})
if (values.key === undefined || values.builder === undefined) {
  console.error('release: --key FILE (of treeline keygen) and --builder URI (who runs this) are missing')
  process.exit(2)
}
const startedOn = new Date()
const key = SigningKey.load(values.key)
const out = resolve(values.out)
mkdirSync(out, { recursive: true })
const work = mkdtempSync(join(tmpdir(), 'treeline-release-'))
process.once('exit', () => rmSync(work, { recursive: true, force: true, maxRetries: 5 }))
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.once(signal, () => process.exit(1))

const checkout = checkOut(process.cwd(), values.commit, join(work, 'checkout'))
console.log(`commit  ${checkout.commit}`)
const tarball = packageOf(checkout, join(work, 'package'), out)
const sbom = tarball.replace(/\.tgz$/, '.cdx.json')
writeFileSync(sbom, sbomOf(checkout, tarball))
const { source, builder } = values
const parts = { checkout, subjects: [tarball, sbom], builder, startedOn, key, ...(source && { source }) }
const { envelope, digests } = provenanceOf(parts)
const provenance = tarball.replace(/\.tgz$/, '.provenance.json')
writeFileSync(provenance, envelope)
for (const [name, digest] of digests) console.log(`sha256  ${digest}  ${name}`)
console.log(`signed  ${basename(provenance)}  by ${key.publicKey.id}`)
