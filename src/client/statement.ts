/** The statements that the client writes: in-toto v1 with a predicate of ours. */
import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { stat } from 'node:fs/promises'
import { basename } from 'node:path'
import { toUtf8 } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'

/** A file that an event is about. */
export interface FileRef {
  readonly path: string
  /** In the statement; the base name of the path when absent. */
  readonly name?: string
}

export interface Step {
  readonly type: string
  /** The log for which the statement is made; another one refuses it. */
  readonly origin: string
  readonly produced: readonly FileRef[]
  readonly consumed: readonly FileRef[]
  readonly parameters: Readonly<Record<string, unknown>>
  /** RFC 3339. */
  readonly startedOn?: string
  readonly finishedOn?: string
}

/** Called as bytes of a file are hashed. */
export type Progress = (file: string, done: number, size: number) => void

interface Resource {
  readonly name: string
  readonly digest: { readonly sha256: string }
}

/** Payload of an in-toto Statement v1 about real files. Throws USAGE for a file that cannot be read, and for two subjects of one name. */
export async function statementOf(step: Step, progress: Progress = () => {}): Promise<Uint8Array> {
  const resources = async (files: readonly FileRef[]): Promise<Resource[]> => {
    const found: Resource[] = []
    // One after the other: two large files at once only make the disk seek.
    for (const { path, name = basename(path) } of files)
      found.push({ name, digest: { sha256: await hashFile(path, progress) } })
    return found
  }
  const { type, origin, parameters, startedOn, finishedOn } = step
  const subject = await resources(step.produced)
  const names = subject.map(({ name }) => name)
  const twice = names.find((name, i) => names.indexOf(name) !== i)
  if (twice !== undefined) throw new TreelineError('USAGE', `two of the files are called ${twice}: give them names`)
  return toUtf8(
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject,
      predicateType: type,
      predicate: {
        origin,
        consumed: await resources(step.consumed),
        parameters,
        ...(startedOn && { startedOn }),
        ...(finishedOn && { finishedOn }),
      },
    }),
  )
}

/** Lowercase hex of SHA-256, streaming. Throws USAGE. */
export async function hashFile(path: string, progress: Progress = () => {}): Promise<string> {
  const hash = createHash('sha256')
  try {
    const { size } = await stat(path)
    let done = 0
    for await (const chunk of createReadStream(path, { highWaterMark: 2 ** 20 })) {
      hash.update(chunk as Buffer)
      done += (chunk as Buffer).length
      progress(path, done, size)
    }
  } catch (error) {
    throw new TreelineError('USAGE', `${path} cannot be read: ${(error as Error).message}`, {}, { cause: error })
  }
  return hash.digest('hex')
}
