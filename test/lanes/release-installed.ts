/** A release as whoever downloads it has it: a tarball, its provenance, an empty folder, and no sources. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, eventually, type Finished, must, ROOT, run, startProgram, startServer, tempFolder } from './lane.ts'
import { freePort } from './litewitness.ts'

const NAME = 'releases'
const ORIGIN = 'log.example/releases'

/** `keys` has release.key and release.pub. */
export async function judgeInstalled(release: string, tarball: string, keys: string): Promise<void> {
  const home = tempFolder()
  const at = (name: string): string => join(home, name)
  const inHome = (...command: string[]): Promise<Finished> =>
    run('sh', ['-c', 'cd "$1" && shift && exec "$@"', 'sh', home, ...command], { seconds: 240 })
  // A cache of its own that is empty: nothing but the tarball can be where the packages come from.
  const flags = ['--ignore-scripts', '--offline', '--cache', at('cache'), '--no-audit', '--no-fund']
  const installed = await inHome('npm', 'install', ...flags, join(release, tarball))
  check('it installs into an empty folder without a network', installed.code === 0, installed.output)
  const tree = await inHome('npm', 'ls', '--all', '--omit=optional')
  check('npm misses nothing in it', tree.code === 0, tree.output)
  const help = await inHome('npx', 'treeline', '--help')
  check('npx finds the client', help.code === 0 && help.output.includes('treeline COMMAND --help'), help.output)
  const alone = await inHome('node_modules/.bin/treeline-server', '--help')
  check('the programs run by their names', alone.code === 0 && alone.output.includes('rebuild-index'), alone.output)
  await judgeTypes(home)

  const bin = (name: string): string => at(`node_modules/.bin/${name}`)
  const treeline = (...args: string[]) =>
    run(process.execPath, [bin('treeline'), ...args], { env: { TREELINE_STATE: at('state') } })
  const mustTreeline = async (...args: string[]): Promise<string> => {
    const { code, output } = await treeline(...args)
    if (code !== 0) throw new Error(`treeline ${args[0]} ended with ${code}:\n${output}`)
    return output
  }

  await mustTreeline('keygen', at('admin'))
  const log = ['init', '--data', at('data'), '--name', NAME, '--origin', ORIGIN, '--profile', 'events']
  const [vkey] = (await must(process.execPath, [bin('treeline-server'), ...log])).split('\n') as [string]
  const signer = `release=${join(keys, 'release.pub')},types=https://slsa.dev/provenance/*,subjects=treeline-*`
  const policy = ['--administrator', at('admin.pub'), '--signer', signer, '--out', at('policy.json')]
  await mustTreeline('policy', 'new', '--log-key', vkey, ...policy)
  await mustTreeline('policy', 'sign', at('policy.json'), '--key', at('admin.key'), '--out', at('signed.json'))
  await must(process.execPath, [bin('treeline-server'), ...log, '--policy', at('signed.json')])
  const witness = ['init', '--data', at('witness'), '--name', 'witness.example/w']
  const witnessKey = (await must(process.execPath, [bin('treeline-witness'), ...witness])).trim()

  const [port, witnessPort] = [await freePort(), await freePort()]
  const url = `http://127.0.0.1:${port}/${NAME}`
  const trust = `log ${vkey} ${url}\nwitness w ${witnessKey} http://127.0.0.1:${witnessPort}\nquorum w\n`
  writeFileSync(at('trust.txt'), trust)
  const listen = ['--listen', `127.0.0.1:${port}`, '--witness-policy', at('trust.txt')]
  let server = await startServer(at('data'), [...listen, '--workers', '2'], bin('treeline-server'))
  const [{ genesis }] = (await (await fetch(`${server.url}/v1/logs`)).json()) as [{ genesis: string }]
  writeFileSync(at('logs.json'), JSON.stringify({ logs: [{ vkeys: [vkey], url, genesis, keeper: true }] }))
  const watch = ['run', '--data', at('witness'), '--logs', at('logs.json'), '--listen', `127.0.0.1:${witnessPort}`]
  const watching = await startProgram(bin('treeline-witness'), [
    ...watch,
    '--audit-interval',
    '200',
    '--log-level',
    'warn',
  ])

  await judgePages(server.url)
  const known = ['--log', url, '--trust', at('trust.txt')]
  const envelope = join(release, tarball.replace('.tgz', '.provenance.json'))
  const sent = ['submit', ...known, '--public-key', join(keys, 'release.pub'), '--wait', '--envelope']
  const logged = await treeline(...sent, envelope)
  check(
    'its provenance is logged, with threads',
    logged.output.startsWith(`logged at index 1 of ${ORIGIN}`),
    logged.output,
  )
  const forged = at('forged.json')
  const { payload, ...rest } = JSON.parse(readFileSync(envelope, 'utf8')) as { payload: string }
  const other = Buffer.from(payload, 'base64').toString().replace('release.example/lane', 'release.example/mine')
  writeFileSync(forged, JSON.stringify({ ...rest, payload: Buffer.from(other).toString('base64') }))
  const refused = await treeline(...sent, forged)
  check('one that names another builder is not', refused.code !== 0 && refused.code !== null, refused.output)

  const evidence = at('release.evidence')
  await mustTreeline('evidence', '--log', url, '1', '--out', evidence)
  check('the log ends well', (await server.stop()) === 0)
  const verify = ['verify', '--trust', at('trust.txt'), '--genesis', genesis, evidence, '--artifact']
  const sbom = tarball.replace('.tgz', '.cdx.json')
  for (const name of [tarball, sbom]) {
    const verdict = await treeline(...verify, join(release, name))
    check(`evidence names ${name}, offline`, verdict.code === 0 && verdict.output.includes('it names'), verdict.output)
  }
  const flipped = readFileSync(join(release, tarball))
  flipped[flipped.length >> 1]! ^= 1
  mkdirSync(at('flipped'))
  writeFileSync(at(`flipped/${tarball}`), flipped)
  const denied = await treeline(...verify, at(`flipped/${tarball}`))
  check('and not the tarball with one bit changed', denied.code === 1, denied.output)

  server = await startServer(at('data'), listen, bin('treeline-server'))
  // The threads of search and lineage are files of their own too.
  const traced = await eventually('the index', async () => {
    const { code, output } = await treeline('trace', ...known, join(release, tarball), '--up')
    return code === 0 && output.includes('slsa.dev') ? output : undefined
  })
  check('without threads the trace of the tarball leads to the commit', traced.includes('gitCommit:'), traced)
  const audited = await eventually('an audit', async () => {
    const status = [bin('treeline-witness'), 'status', '--data', at('witness'), '--json']
    const { code, output } = await run(process.execPath, status)
    return code === 0 && /"audited":\s*"2"/.test(output) ? output : undefined
  }).catch((error: Error) => error.message)
  check('the witness has audited both entries', audited.includes(ORIGIN), audited)
  check('the log ends well again', (await server.stop()) === 0)
  check('the witness too', (await watching.stop()) === 0)
}

/** The page with its script, the description with its schemas, the pages of the description. */
async function judgePages(url: string): Promise<void> {
  const page = await (await fetch(`${url}/`)).text()
  const [, script] = /src="([^"]+\.js)"/.exec(page) ?? []
  const code = script === undefined ? undefined : await fetch(new URL(script, `${url}/`))
  check('the explorer is there, with its script', code?.status === 200 && (await code.text()).length > 50_000, page)
  const description = await fetch(`${url}/openapi.json`)
  const { components } = (await description.json()) as { components?: { schemas?: object } }
  check('the description has its schemas', Object.keys(components?.schemas ?? {}).length > 10)
  check('its pages are there', (await fetch(`${url}/docs/`)).status === 200)
}

/** What the package exports, in the eyes of the compiler of somebody who uses it. */
async function judgeTypes(home: string): Promise<void> {
  const compile = async (name: string, code: string): Promise<Finished> => {
    writeFileSync(join(home, `${name}.mts`), code)
    const flags = [
      '--ignoreConfig',
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2024',
      '--skipLibCheck',
    ]
    const types = ['--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types')]
    return await run(process.execPath, [
      join(ROOT, 'node_modules/typescript/bin/tsc'),
      ...flags,
      ...types,
      join(home, `${name}.mts`),
    ])
  }
  const code = `import { SigningKey } from 'treeline/signing'\nexport const key: SigningKey = SigningKey.load('x.key')\n`
  const right = await compile('right', code)
  check('whoever imports it has its types', right.code === 0, right.output)
  const wrong = await compile('wrong', code.replace("'x.key'", '7'))
  check('and hears of a wrong one', wrong.code !== 0 && wrong.output.includes('TS2345'), wrong.output)
}
