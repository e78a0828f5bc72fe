/** What an installation takes from elsewhere: packages by their digests alone, whoever serves them, and no code of theirs before we import it. */
import { readFileSync } from 'node:fs'
import t from 'tap'

interface Manifest {
  readonly [kind: string]: unknown
  readonly allowScripts: Readonly<Record<string, boolean>>
  readonly scripts: Readonly<Record<string, string>>
}

interface Locked {
  readonly integrity?: string
  readonly resolved?: string
  readonly link?: boolean
  readonly hasInstallScript?: boolean
}

type Packages = Readonly<Record<string, Locked>>

const KINDS = ['dependencies', 'devDependencies', 'optionalDependencies', 'overrides']
const read = (name: string): unknown => JSON.parse(readFileSync(name, 'utf8'))
const manifest = read('package.json') as Manifest
const { packages } = read('package-lock.json') as { packages: Packages }

function faults({ allowScripts, scripts, ...manifest }: Manifest, packages: Packages): string[] {
  const found: string[] = []
  for (const kind of KINDS)
    for (const [name, version] of Object.entries((manifest[kind] ?? {}) as Record<string, string>))
      if (!/^\d+\.\d+\.\d+$/.test(version)) found.push(`${name} is not one version`)
  for (const script of ['preinstall', 'install', 'postinstall', 'prepare'])
    if (scripts[script] !== undefined) found.push(`we have a script ${script}`)
  for (const [name, allowed] of Object.entries(allowScripts)) if (allowed) found.push(`${name} may run scripts`)
  for (const [path, { integrity, resolved, link, hasInstallScript }] of Object.entries(packages)) {
    const name = path.split('node_modules/').at(-1)!
    if (path === '') continue
    if (!/^sha512-[A-Za-z0-9+/]{86}==$/.test(integrity ?? '')) found.push(`${name} has no digest`)
    if (resolved !== undefined) found.push(`${name} has an address`)
    if (link !== undefined) found.push(`${name} is a link`)
    if (hasInstallScript && allowScripts[name] !== false) found.push(`nobody forbids the scripts of ${name}`)
  }
  return found
}

t.test(
  'the lockfile names every package by its digest, none by an address, and no script runs at an installation',
  async (t) => {
    t.same(faults(manifest, packages), [])
    t.ok(Object.keys(packages).length > 100)
    t.match(readFileSync('.npmrc', 'utf8'), /^omit-lockfile-registry-resolved=true$/m)
    // npm finds some scripts only in what it has unpacked: a binding.gyp stands for one.
    const { packages: installed } = read('node_modules/.package-lock.json') as { packages: Packages }
    const unforbidden = faults(manifest, installed).filter((fault) => fault.startsWith('nobody'))
    t.same(unforbidden, [])

    const path = 'node_modules/fastify'
    const { integrity } = packages[path]!
    const locked = (change: object): Packages => ({ [path]: { integrity: integrity!, ...change } })
    const controls: [string, Manifest, Packages][] = [
      ['fastify has no digest', manifest, locked({ integrity: 'sha1-Kq5sNclPz7QV2+lfQIuc6R7oRu0=' })],
      ['fastify has an address', manifest, locked({ resolved: 'https://registry.example/fastify.tgz' })],
      ['fastify is a link', manifest, locked({ link: true })],
      ['nobody forbids the scripts of fastify', manifest, locked({ hasInstallScript: true })],
      ['fastify may run scripts', { ...manifest, allowScripts: { fastify: true } }, {}],
      ['fastify is not one version', { ...manifest, dependencies: { fastify: '^5.12.8' } }, {}],
      ['we have a script prepare', { ...manifest, scripts: { prepare: 'true' } }, {}],
    ]
    for (const [fault, ...world] of controls) t.same(faults(...world), [fault], fault)
  },
)
