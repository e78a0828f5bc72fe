/** Programs of others, installed by name and exact version into node_modules/.cache, never into the repository. */
import { existsSync } from 'node:fs'
import { basename, join } from 'node:path'
import { must, ROOT, run } from './lane.ts'

/** The path of a Go command, as `go install MODULE@VERSION` makes it; built once for each version. */
export async function goTool(path: string, version: string): Promise<string> {
  const folder = join(ROOT, 'node_modules/.cache/go-tools', version)
  const file = join(folder, basename(path))
  if (!existsSync(file)) {
    await needProgram('go', 'install Go 1.26 or later')
    await must('go', ['install', `${path}@${version}`], { seconds: 600, env: { GOBIN: folder } })
  }
  return file
}

/** Throws when a program is not on the machine. */
export async function needProgram(name: string, help: string): Promise<void> {
  const { code } = await run('sh', ['-c', 'command -v "$1"', 'sh', name])
  if (code !== 0) throw new Error(`this lane needs ${name}: ${help}`)
}
