/** The CycloneDX 1.6 SBOM of a release: the packages in the tarball, and those that Vite built into the explorer. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Checkout, type Locked, program } from './checkout.ts'
import { sha256Of } from './provenance.ts'

interface Component {
  readonly 'bom-ref': string
}

interface Bom {
  readonly metadata: { readonly component: Component }
  readonly components: readonly Component[]
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[]
}

/**
 * The whole lockfile as npm writes it, cut down to what is shipped; npm's own --omit also leaves out what is needed. The same commit and tarball give
 * the same bytes.
 */
export function sbomOf({ folder, manifest, lockfile, committedOn }: Checkout, tarball: string): string {
  const flags = ['--sbom-format', 'cyclonedx', '--package-lock-only']
  const { metadata, components, dependencies, ...bom } = JSON.parse(program('npm', ['sbom', ...flags], folder)) as Bom
  const root = metadata.component['bom-ref']
  const known = new Set(Object.entries(lockfile.packages).flatMap(refOf))
  const { devDependencies, dependencies: runtime } = manifest
  const direct = [...Object.entries(runtime), ...builtIn(folder, devDependencies)].map(
    ([name, version]) => `${name}@${version}`,
  )
  const edges = new Map(dependencies.map(({ ref, dependsOn }) => [ref, dependsOn.filter((to) => known.has(to))]))
  edges.set(root, direct)
  const kept = new Set([root])
  // A set is walked in the order in which it grows.
  for (const ref of kept) for (const to of edges.get(ref)!) kept.add(to)
  const digest = sha256Of(tarball)
  const [, a, b, c, d, e] = /^(.{8})(.{4})(.{4})(.{4})(.{12})/.exec(digest)!
  const document = {
    ...bom,
    // npm writes 1.5, of which 1.6 takes every document.
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${a}-${b}-${c}-${d}-${e}`,
    metadata: {
      ...metadata,
      timestamp: committedOn.toISOString(),
      lifecycles: [{ phase: 'build' }],
      component: {
        ...metadata.component,
        type: 'application',
        name: manifest.name,
        properties: [],
        hashes: [{ alg: 'SHA-256', content: digest }],
      },
    },
    // What the explorer has in it is optional to npm, which knows it for development only.
    components: components
      .filter((component) => kept.has(component['bom-ref']))
      .map((component) => ({ ...component, scope: 'required' })),
    dependencies: [...kept].sort().map((ref) => ({ ref, dependsOn: edges.get(ref)! })),
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

/** npm's name for a package of the lockfile, unless it is optional: those are not shipped. */
const refOf = ([path, { version, optional }]: readonly [string, Locked]): string[] =>
  optional === true ? [] : [`${path.split('node_modules/').at(-1)}@${version}`]

/** Development packages that the explorer imports: they are in its script. */
function builtIn(folder: string, packages: Readonly<Record<string, string>>): [name: string, version: string][] {
  const sources = join(folder, 'src/explorer')
  const files = readdirSync(sources, { recursive: true, encoding: 'utf8' }).filter((name) => /\.(tsx?|css)$/.test(name))
  const text = files.map((name) => readFileSync(join(sources, name), 'utf8')).join('\n')
  const imported = new Set([...text.matchAll(/(?:from|import) '((?:@[^/']+\/)?[^/'.][^/']*)/g)].map(([, name]) => name))
  return Object.entries(packages).filter(([name]) => imported.has(name))
}
