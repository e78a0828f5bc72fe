/**
 * A release, made twice from one commit to the same bytes, judged, installed without a network into an empty folder, and run from there: the log, its
 * threads, the page, the client and the witness. The provenance of the release is logged in that log, and its evidence verified against the tarball.
 *
 *   npm exec -- node test/lanes/release.ts
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, lane, must, ROOT, run, tempFolder } from './lane.ts'
import { judgeInstalled } from './release-installed.ts'
import { judgeSbom } from './release-sbom.ts'

const BUILDER = 'https://release.example/lane'
const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as { version: string }
const TARBALL = `treeline-${version}.tgz`
const keys = tempFolder()

const make = (out: string, repository = ROOT) =>
  run(
    'sh',
    [
      '-c',
      'cd "$1" && shift && exec "$@"',
      'sh',
      repository,
      process.execPath,
      join(ROOT, 'cmd/release.ts'),
      ...flags(out),
    ],
    {
      seconds: 480,
    },
  )
const flags = (out: string): string[] => ['--key', join(keys, 'release.key'), '--builder', BUILDER, '--out', out]

await lane(async () => {
  const { output: dirty } = await run('git', ['status', '--porcelain'])
  if (dirty !== '') console.log('  what is not committed is not in the release that is judged here')
  await must(process.execPath, ['cmd/treeline.ts', 'keygen', join(keys, 'release')])

  const [first, second] = [tempFolder(), tempFolder()]
  // At once: most of each is one processor's work.
  const [made, again] = await Promise.all([make(first), make(second), refusesOtherBytes()])
  check('a release is made of the commit', made.code === 0, made.output)
  check('and made again', again.code === 0, again.output)
  for (const name of [TARBALL, TARBALL.replace('.tgz', '.cdx.json')]) {
    const same = readFileSync(join(first, name)).equals(readFileSync(join(second, name)))
    check(`${name} has the same bytes both times`, same)
  }
  await judgeSbom(first, TARBALL)
  await judgeInstalled(first, TARBALL, keys)
})

/** A registry that answers with other bytes than were locked, seen from the other side: the lockfile asks for bytes that no registry has. */
async function refusesOtherBytes(): Promise<void> {
  const repository = tempFolder()
  await must('git', ['clone', '--quiet', '--no-hardlinks', ROOT, repository])
  const file = join(repository, 'package-lock.json')
  const lockfile = JSON.parse(readFileSync(file, 'utf8')) as { packages: Record<string, { integrity?: string }> }
  const locked = lockfile.packages['node_modules/lru-cache']!
  locked.integrity = locked.integrity!.replace(/^sha512-./, (start) => (start.endsWith('A') ? 'sha512-B' : 'sha512-A'))
  writeFileSync(file, JSON.stringify(lockfile))
  const author = ['-c', 'user.name=lane', '-c', 'user.email=lane@example.com']
  await must('git', ['-C', repository, ...author, 'commit', '--quiet', '--all', '--message', 'another integrity'])
  const { code, output } = await make(tempFolder(), repository)
  check('a lockfile with another integrity makes no release', code === 1 && output.includes('EINTEGRITY'), output)
}
