/** The sources of one commit, with the packages of its lockfile: nothing that only lies in somebody's working folder can get into a release. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, readFileSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export interface Manifest {
  readonly name: string
  readonly version: string
  readonly license: string
  readonly engines: Readonly<Record<string, string>>
  readonly bin: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, string>>
  readonly imports: Readonly<Record<string, Readonly<Record<string, string>>>>
  readonly dependencies: Readonly<Record<string, string>>
  readonly devDependencies: Readonly<Record<string, string>>
  readonly [field: string]: unknown
}

export interface Locked {
  readonly version: string
  readonly dev?: boolean
  readonly optional?: boolean
}

export interface Lockfile {
  readonly packages: Readonly<Record<string, Locked>>
  readonly [field: string]: unknown
}

export interface Checkout {
  readonly folder: string
  /** 40 hex digits. */
  readonly commit: string
  readonly committedOn: Date
  readonly manifest: Manifest
  readonly lockfile: Lockfile
}

/** Installs without running any script; npm holds each package against the integrity in the lockfile, and ends with an error where one differs. */
export const INSTALL = ['ci', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error']

export function checkOut(repository: string, revision: string, folder: string): Checkout {
  const git = (...args: string[]): string => program('git', args, repository).trim()
  const commit = git('rev-parse', '--verify', '--end-of-options', `${revision}^{commit}`)
  const committedOn = new Date(Number(git('show', '--no-patch', '--format=%ct', commit)) * 1000)
  mkdirSync(folder, { recursive: true })
  git('archive', '--format=tar', `--output=${folder}.tar`, commit)
  program('tar', ['-xf', `${folder}.tar`, '-C', folder], repository)
  program('npm', INSTALL, folder)
  return {
    folder,
    commit,
    committedOn,
    manifest: readJson(folder, 'package.json'),
    lockfile: readJson(folder, 'package-lock.json'),
  }
}

/** Runs a program to its end and returns what it printed. Those of the folder's own packages go before the machine's, also `node`. */
export function program(command: string, args: readonly string[], folder: string): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, PATH: `${join(folder, 'node_modules/.bin')}${delimiter}${process.env.PATH}` },
  })
  if (error !== undefined) throw error
  if (status !== 0) throw new Error(`${command} ${args.join(' ')} ended with ${status}:\n${stdout}${stderr}`)
  return stdout
}

const readJson = <T>(folder: string, name: string): T => JSON.parse(readFileSync(join(folder, name), 'utf8')) as T
