/** Programs of others, installed by name and exact version into node_modules/.cache, never into the repository. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { must, ROOT, run } from './lane.ts'

/** The path of a Go command, as `go install MODULE@VERSION` makes it; built once for each version. */
export async function goTool(path: string, version: string): Promise<string> {
  const folder = join(ROOT, 'node_modules/.cache/go-tools', version)
  const file = join(folder, basename(path))
  if (!existsSync(file)) {
    await needProgram('go', 'install Go 1.26 or later')
    await must('go', ['install', `${path}@${version}`], { seconds: 800, env: { GOBIN: folder } })
  }
  return file
}

/** The path of `command` of a Python program, in a virtual environment made of test/tools/NAME/requirements.txt; once for each content of it. */
export async function pythonTool(name: string, command: string): Promise<string> {
  const file = join(ROOT, 'test/tools', name, 'requirements.txt')
  const requirements = readFileSync(file, 'utf8')
  const [, version = ''] = new RegExp(`^${name}\\b.*==(.+)$`, 'm').exec(requirements) ?? []
  const folder = join(ROOT, 'node_modules/.cache', name, version)
  const installed = join(folder, 'requirements.txt')
  if (!existsSync(installed) || readFileSync(installed, 'utf8') !== requirements) {
    await needProgram('python3', 'install Python 3.11 or later, with venv (python3-venv on Debian)')
    await must('python3', ['-m', 'venv', '--clear', folder])
    const pip = ['-m', 'pip', 'install', '--quiet', '--disable-pip-version-check', '-r', file]
    await must(join(folder, 'bin/python'), pip, { seconds: 300 })
    writeFileSync(installed, requirements)
  }
  return join(folder, 'bin', command)
}

/** Throws when a program is not on the machine. */
export async function needProgram(name: string, help: string): Promise<void> {
  const { code } = await run('sh', ['-c', 'command -v "$1"', 'sh', name])
  if (code !== 0) throw new Error(`this lane needs ${name}: ${help}`)
}
