/**
 * Evidence of a fault: a file that proves to anyone who has the log's key that the log showed two histories, or holds an entry that no
 * honest log has. UTF-8 text: two lines, then sections, each a line with its name and the length of its text in bytes, the text, a newline.
 * What is binary stands in base64, hashes of a proof one after the other.
 *
 *     treeline.evidence-of-fault@v1
 *     kind fork
 *     log-key 90
 *     log.example/l+8c425583+AZOW…
 *     note 213
 *     log.example/l
 *     …
 */
import { MAX_BATCH_ITEMS } from './batch.ts'
import { concat, equal, fromBase64, fromUtf8, parseSize, toBase64, toUtf8 } from './bytes.ts'
import { type Item, RULES, type Rule } from './entry-rules.ts'
import { TreelineError } from './errors.ts'
import { HASH_SIZE, type Hash } from './merkle.ts'

/** Two notes of one origin that no tree has both. */
export interface Fork {
  readonly kind: 'fork'
  /** Verifier keys of the log, for whoever looks for its trust policy: they prove nothing. */
  readonly keys: readonly string[]
  /** The smaller tree first. */
  readonly notes: readonly [string, string]
  /** Where the sizes differ: the root that the second tree has at the size of the first, and the proof of it. */
  readonly prefix?: { readonly root: Hash; readonly proof: readonly Hash[] }
}

/** An item with its place under the note. */
export interface ProvedItem extends Item {
  readonly proof: readonly Hash[]
}

export interface InvalidEntry {
  readonly kind: 'invalid-entry'
  readonly keys: readonly string[]
  readonly note: string
  readonly rule: Rule
  /** The accused entry first, then those that show what is wrong with it. */
  readonly items: readonly [ProvedItem, ...ProvedItem[]]
}

export type Fault = Fork | InvalidEntry

const FIRST_LINE = 'treeline.evidence-of-fault@v1'
/** Room for a header and its 10,000 items, each with some kilobytes of entry and proof. */
const MAX_SIZE = 128 * 2 ** 20
const MAX_ITEMS = MAX_BATCH_ITEMS + 100

const malformed = (why: string): TreelineError =>
  new TreelineError('MALFORMED_FAULT', `not evidence of a fault: ${why}`)

export const isFault = (bytes: Uint8Array): boolean => {
  const start = toUtf8(`${FIRST_LINE}\n`)
  return equal(bytes.subarray(0, start.length), start)
}

export function formatFault(fault: Fault): Uint8Array {
  const parts: Uint8Array[] = [toUtf8(`${FIRST_LINE}\nkind ${fault.kind}\n`)]
  const section = (name: string, text: string): void => {
    const bytes = toUtf8(text)
    parts.push(toUtf8(`${name} ${bytes.length}\n`), bytes, toUtf8('\n'))
  }
  for (const key of fault.keys) section('log-key', key)
  if (fault.kind === 'fork') {
    for (const note of fault.notes) section('note', note)
    if (fault.prefix !== undefined) {
      section('root', toBase64(fault.prefix.root))
      section('proof', toBase64(concat(...fault.prefix.proof)))
    }
  } else {
    section('note', fault.note)
    section('rule', fault.rule)
    for (const { index, bytes, proof, document } of fault.items) {
      section('index', String(index))
      section('entry', toBase64(bytes))
      section('proof', toBase64(concat(...proof)))
      if (document !== undefined) section('document', toBase64(document))
    }
  }
  return concat(...parts)
}

/** Throws MALFORMED_FAULT. Nothing that it returns is verified. */
export function parseFault(bytes: Uint8Array): Fault {
  if (bytes.length > MAX_SIZE) throw malformed(`more than ${MAX_SIZE} bytes`)
  if (!isFault(bytes)) throw malformed(`the first line is not ${FIRST_LINE}`)
  const sections = new Sections(bytes, FIRST_LINE.length + 1)
  const kind = sections.line()
  const keys = sections.all('log-key')
  let fault: Fault
  if (kind === 'kind fork') {
    const notes = [sections.one('note'), sections.one('note')] as const
    const root = sections.maybe('root')
    const prefix = root === undefined ? undefined : { root: blob(root), proof: hashes(sections.one('proof')) }
    if (prefix !== undefined && prefix.root.length !== HASH_SIZE) throw malformed('the root is not 32 bytes')
    fault = { kind: 'fork', keys, notes, ...(prefix && { prefix }) }
  } else if (kind === 'kind invalid-entry') {
    const note = sections.one('note')
    const rule = RULES.find((one) => one === sections.peek('rule'))
    if (rule === undefined) throw malformed('it names no rule')
    sections.one('rule')
    const items = [itemOf(sections)] as [ProvedItem, ...ProvedItem[]]
    while (!sections.atEnd) {
      if (items.length === MAX_ITEMS) throw malformed(`more than ${MAX_ITEMS} entries`)
      items.push(itemOf(sections))
    }
    fault = { kind: 'invalid-entry', keys, note, rule, items }
  } else throw malformed('it is of no known kind')
  // One spelling: order, lengths, base64 and whatever stands after the last section all show here.
  if (!equal(formatFault(fault), bytes)) throw malformed('it would be written differently')
  return fault
}

function itemOf(sections: Sections): ProvedItem {
  const index = parseSize(sections.one('index'))
  if (index === undefined) throw malformed('an index is not a number')
  const bytes = blob(sections.one('entry'))
  const proof = hashes(sections.one('proof'))
  const document = sections.maybe('document')
  return { index, bytes, proof, ...(document !== undefined && { document: blob(document) }) }
}

function blob(text: string): Uint8Array {
  const bytes = fromBase64(text)
  if (bytes === undefined) throw malformed('a section is not base64')
  return bytes
}

function hashes(text: string): Hash[] {
  const bytes = blob(text)
  if (bytes.length % HASH_SIZE !== 0 || bytes.length > 64 * HASH_SIZE) throw malformed('a proof is not made of hashes')
  return Array.from({ length: bytes.length / HASH_SIZE }, (_, i) => bytes.slice(i * HASH_SIZE, (i + 1) * HASH_SIZE))
}

const NEWLINE = 0x0a

/** Reads sections in their order. */
class Sections {
  readonly #bytes: Uint8Array
  #at: number

  constructor(bytes: Uint8Array, at: number) {
    this.#bytes = bytes
    this.#at = at
  }

  get atEnd(): boolean {
    return this.#at >= this.#bytes.length
  }

  line(): string {
    const end = this.#bytes.indexOf(NEWLINE, this.#at)
    const text = end < 0 ? undefined : fromUtf8(this.#bytes.subarray(this.#at, end))
    if (text === undefined) throw malformed('it is cut off')
    this.#at = end + 1
    return text
  }

  one(name: string): string {
    const text = this.maybe(name)
    if (text === undefined) throw malformed(`the section ${name} is missing`)
    return text
  }

  all(name: string): string[] {
    const found: string[] = []
    for (let text = this.maybe(name); text !== undefined; text = this.maybe(name)) found.push(text)
    return found
  }

  /** The text of the next section if it has this name. */
  maybe(name: string): string | undefined {
    const before = this.#at
    if (this.atEnd) return undefined
    const [found, length = ''] = this.line().split(' ')
    const size = parseSize(length)
    if (found !== name || size === undefined) {
      this.#at = before
      return undefined
    }
    const text = fromUtf8(this.#bytes.subarray(this.#at, this.#at + size))
    this.#at += size
    if (text === undefined || this.#bytes[this.#at] !== NEWLINE) throw malformed(`the section ${name} is cut off`)
    this.#at++
    return text
  }

  peek(name: string): string | undefined {
    const before = this.#at
    const text = this.maybe(name)
    this.#at = before
    return text
  }
}
