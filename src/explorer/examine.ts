/** What was dropped: recognised and verified, or hashed and looked up. */
import { sha256 } from '#platform'
import { toHex } from '../core/bytes.ts'
import { digestFile } from './digest-file.ts'
import { type Beside, checkFile } from './file-check.ts'
import { type KnownFile, MAX_EVIDENCE, recognise } from './file-kind.ts'
import type { FileReport } from './file-report.ts'
import { type Found, lookUp } from './look-up.ts'
import { breathe } from './pace.ts'
import { checkReport, textsOf } from './report-check.ts'
import type { DroppedFile, Session } from './session.ts'

/** A file that is evidence of nothing by itself. */
export interface OtherFile {
  readonly name: string
  readonly digest: string
  /** `text`: what a report has for people, and is held against nothing. Nobody is asked about what lies beside evidence. */
  readonly found: readonly Found[] | 'beside' | 'text'
}

export interface Examined {
  readonly reports: readonly FileReport[]
  /** Trust files among them, which the reader may want to use. */
  readonly trust: readonly KnownFile[]
  readonly others: readonly OtherFile[]
}

/** Looks files up only where nothing among them is evidence, which must not cause a request. */
export async function examine(
  session: Session,
  files: readonly DroppedFile[],
  say: (text: string) => void,
  signal: AbortSignal,
): Promise<Examined> {
  const known: KnownFile[] = []
  const digests = new Map<string, string>()
  const inOrder = [...files].sort((a, b) => a.name.localeCompare(b.name, 'en', { numeric: true }))
  for (const { name, file } of inOrder) {
    say(`Reading ${name}…`)
    const bytes = file.size <= MAX_EVIDENCE ? new Uint8Array(await file.arrayBuffer()) : undefined
    const one = bytes && recognise(name, bytes)
    if (one !== undefined) known.push(one)
    if (one === undefined || one.kind === 'other') {
      const percent = (done: number) => {
        signal.throwIfAborted()
        say(`Hashing ${name}: ${Math.floor((100 * done) / Math.max(1, file.size))} %`)
      }
      digests.set(name, bytes ? toHex(sha256(bytes)) : await digestFile(file, percent))
    }
    signal.throwIfAborted()
  }
  say('Verifying…')
  const named = session.namedKeys
  const beside: Beside = { files: known, digests }
  const reports: FileReport[] = []
  for (const file of known) {
    const report = checkFile(file, session.trust, named, beside)
    if (report !== undefined) reports.push(report)
    // A folder can hold hundreds: the page must stay alive.
    await breathe()
    signal.throwIfAborted()
  }
  const folders = known.filter(({ kind }) => kind === 'report')
  for (const file of folders) reports.unshift(checkReport(file, known, reports, session.trust, named))
  const texts = new Set(folders.flatMap(textsOf))
  const offline = known.some(({ kind }) => kind !== 'other')
  const others: OtherFile[] = []
  for (const [name, digest] of digests) {
    if (!offline) say(`Looking up ${name}…`)
    const found = texts.has(name) ? 'text' : offline ? 'beside' : await lookUp(session, digest)
    others.push({ name, digest, found })
  }
  return { reports, trust: known.filter(({ kind }) => kind === 'trust'), others }
}
