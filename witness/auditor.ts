/**
 * Audits one log: that its heads are one history, that its entries give its roots, and that every entry keeps the rules. Goes as far as was
 * cosigned and never further. What the log does not serve is never held against it as a lie; what it signed is.
 */
import { Audit } from '../src/core/audit.ts'
import { equal, fromUtf8, toHex, toUtf8 } from '../src/core/bytes.ts'
import { originHash } from '../src/core/checkpoint.ts'
import { CompactRange } from '../src/core/compact-range.ts'
import { type Entry, EVENT, GENESIS, POLICY, REDACTION } from '../src/core/entry.ts'
import { BrokenRule, type Item, type Rule } from '../src/core/entry-rules.ts'
import { TreelineError } from '../src/core/errors.ts'
import { type Fault, formatFault, parseFault } from '../src/core/fault.ts'
import { leafHash } from '../src/core/merkle.ts'
import type { NoteVerifier } from '../src/core/note.ts'
import type { VerifySignature } from '../src/core/signature.ts'
import { formatVkey } from '../src/core/vkey.ts'
import { ahead } from './ahead.ts'
import type { Alerts } from './alerts.ts'
import { auditedRange, formatMemory, type Memory, parseMemory } from './audit-memory.ts'
import { compareHeads, readHead, type SignedHead } from './heads.ts'
import type { FollowedLog } from './log-list.ts'
import { DOCUMENTS_AHEAD, type LogReader } from './log-reader.ts'
import { entryIn, proveItems } from './proved-items.ts'
import type { Cosigned, WitnessState } from './state.ts'

export interface AuditorParts {
  readonly log: FollowedLog
  readonly reader: LogReader
  readonly verifiers: readonly NoteVerifier[]
  readonly state: WitnessState
  readonly alerts: Alerts
  /** Of events and documents. */
  readonly verify: VerifySignature
  /** ms since the Unix epoch. */
  readonly now: () => number
  /** Destroys the keys that sealed the payloads of redacted entries. Missing where nothing is sealed: what is to be destroyed is remembered. */
  readonly erase?: (indexes: readonly number[]) => void
  /** How long an audit may lag behind what is cosigned before cosigning stops, ms. */
  readonly patience: number
}

/** How far the time of an entry may lie outside of the cosignatures around it, ms. */
const TOLERANCE = 60_000

export class Auditor {
  readonly #parts: AuditorParts
  readonly #origin: string
  #behindSince: number | undefined
  /** What was cosigned in the period before. */
  #seen = 0
  /** How far the keys of redacted entries are known to be destroyed. */
  #erased = -1

  constructor(parts: AuditorParts) {
    this.#parts = parts
    this.#origin = parts.log.origin
  }

  /** Why nothing more may be cosigned, or undefined. */
  get hold(): string | undefined {
    const { now, patience } = this.#parts
    if (this.#behindSince === undefined || now() - this.#behindSince < patience) return undefined
    return 'the audit of this log lags too far behind what was cosigned'
  }

  /** One period: everything there is to look at, as far as it can be seen. */
  async step(): Promise<void> {
    const { state, alerts, log } = this.#parts
    const cosigned = state.cosigned(this.#origin)
    if (cosigned === undefined) return
    const head = this.#read(toUtf8(cosigned.note))
    const failures: string[] = []
    const part = async (work: () => Promise<void>): Promise<void> => {
      try {
        await work()
      } catch (error) {
        if (!(error instanceof TreelineError) || error.code !== 'UNVERIFIABLE') throw error
        failures.push(error.message)
      }
    }
    this.#erase()
    await part(() => this.#compareWithLog(head))
    await part(() => this.#audit(cosigned, head))
    for (const url of log.witnesses) await part(() => this.#compareWith(url, head))
    if (failures.length === 0) alerts.settle(this.#origin, 'unverifiable')
    else alerts.raise({ origin: this.#origin, kind: 'unverifiable', why: failures.join('; ') })
    const behind = (state.audited(this.#origin)?.size ?? 0) < Number(cosigned.size)
    this.#seen = head.size
    this.#behindSince = behind ? (this.#behindSince ?? this.#parts.now()) : undefined
  }

  #read = (note: Uint8Array): SignedHead => readHead(note, this.#origin, this.#parts.verifiers)

  /** What the log shows to everybody, and what it had us cosign. */
  async #compareWithLog(head: SignedHead): Promise<void> {
    const { reader, alerts } = this.#parts
    const shown = this.#read(await reader.checkpoint())
    if (await this.#contradicts(shown, head)) return
    // A log publishes a moment after it was cosigned; a cache may lag, and a disk be rolled back: no lie by itself.
    if (shown.size < this.#seen)
      alerts.raise({
        origin: this.#origin,
        kind: 'stale',
        why: `the log shows size ${shown.size}, and had ${head.size} cosigned`,
      })
    else alerts.settle(this.#origin, 'stale')
  }

  async #compareWith(url: string, head: SignedHead): Promise<void> {
    const note = await this.#parts.reader.elsewhere(url, originHash(this.#origin))
    if (note !== undefined) await this.#contradicts(this.#read(note), head)
  }

  async #contradicts(a: SignedHead, b: SignedHead): Promise<boolean> {
    const fork = await compareHeads(this.#parts.reader, a, b, this.#vkeys)
    if (fork !== undefined) this.#accuse(fork, `the log signed two histories: sizes ${a.size} and ${b.size}`)
    return fork !== undefined
  }

  get #vkeys(): string[] {
    return this.#parts.log.keys.map(formatVkey)
  }

  /** Freezes the log, unless a person has looked at this very fault. */
  #accuse(fault: Fault, why: string): void {
    const { state, alerts, now } = this.#parts
    const evidence = fromUtf8(formatFault(fault))!
    if (state.incidents(this.#origin).some((one) => one.cleared !== null && one.evidence === evidence)) return
    state.freeze(this.#origin, fault.kind, evidence, now())
    alerts.raise({ origin: this.#origin, kind: fault.kind, why })
  }

  /** From the audited size to the cosigned one. What was found stays undone until all of it has given the cosigned root. */
  async #audit(cosigned: Cosigned, head: SignedHead): Promise<void> {
    const { state, log, verify, reader, alerts } = this.#parts
    const stored = state.audited(this.#origin)
    const from = stored?.size ?? 0
    if (from >= head.size) return
    const range = stored === undefined ? CompactRange.empty() : auditedRange(stored)
    const memory = stored && parseMemory(stored)
    const parts = { origin: this.#origin, verify }
    const rules =
      log.genesis === undefined ? undefined : memory?.rules ? Audit.resume(parts, memory.rules) : Audit.begin(parts)
    const missing = new Set(memory?.missing ?? [])
    // Those before were destroyed at the beginning of this step, where there is somebody to do it.
    const redacted = this.#parts.erase === undefined ? [...(memory?.redacted ?? [])] : []
    const read = async (bytes: Uint8Array) => {
      const entry = rules && entryIn(bytes)
      return { bytes, entry, document: entry && (await this.#document(entry)) }
    }
    const entries = reader.entries(from, head.size, head.size)
    for await (const { bytes, entry, document } of ahead(entries, DOCUMENTS_AHEAD, read)) {
      const index = range.size
      range.append(leafHash(bytes))
      if (rules === undefined) continue
      if (index === 0 && toHex(leafHash(bytes)) !== log.genesis)
        throw new TreelineError('UNVERIFIABLE', 'the log begins with another genesis than the one that was pinned')
      const item = { index, bytes, ...(document && { document }) }
      let broken = await this.#judge(rules, item, entry, head.size, { missing, redacted })
      if (broken?.rule === 'batch' && rules.openBatch !== undefined && this.#isCleared('batch', rules.openBatch)) {
        rules.closeBatch()
        broken = await this.#judge(rules, item, entry, head.size, { missing, redacted })
      }
      if (broken !== undefined) {
        // A genesis that does not hold makes no log of events, and proves nothing against anyone but whoever pinned it.
        if (index === 0)
          throw new TreelineError('UNVERIFIABLE', `the genesis that was pinned is none: ${broken.message}`)
        if (await this.#acted(broken, item, head)) return
        rules.pass()
      }
      if (entry !== undefined) this.#judgeTime(entry, index, memory?.seen, cosigned.time)
    }
    if (!equal(range.root(), head.root))
      throw new TreelineError(
        'UNVERIFIABLE',
        `the entries that the log serves do not give the root that it had cosigned at ${head.size}`,
      )
    const cut = rules?.judgeHead()
    if (cut !== undefined) {
      if (await this.#acted(cut.broken, cut.accused, head)) return
      rules!.closeBatch()
    }
    if (missing.size === 0) alerts.settle(this.#origin, 'missing')
    else {
      const why = `payloads are missing and were not redacted: ${[...missing].slice(0, 20).join(', ')}`
      alerts.raise({ origin: this.#origin, kind: 'missing', why })
    }
    const next: Memory = { rules: rules?.memory() ?? null, missing: [...missing], seen: cosigned.time, redacted }
    const subtrees = new Uint8Array(Buffer.concat(range.hashes))
    const { note } = cosigned
    state.advanceAudit(this.#origin, from, { size: head.size, subtrees, memory: formatMemory(next), note })
    this.#erase()
  }

  /** Only of redactions that keep the rules. Dies before it: the next step begins with it. */
  #erase(): void {
    const { state, erase } = this.#parts
    const audited = state.audited(this.#origin)
    if (erase === undefined || audited === undefined || audited.size === this.#erased) return
    erase(parseMemory(audited)?.redacted ?? [])
    this.#erased = audited.size
  }

  /** What is broken, or undefined. A payload that is not there is noted, and forgiven when a redaction names it. */
  async #judge(
    rules: Audit,
    item: Item,
    entry: Entry | undefined,
    size: number,
    { missing, redacted }: { readonly missing: Set<number>; readonly redacted: number[] },
  ): Promise<BrokenRule | undefined> {
    if (entry?.kind === EVENT && this.#parts.log.keeper && item.document === undefined) missing.add(item.index)
    const found = new Map<number, Uint8Array>()
    if (entry?.kind === REDACTION) {
      for (const index of entry.indexes.filter((one) => one < item.index))
        for await (const bytes of this.#parts.reader.entries(index, index + 1, size)) found.set(index, bytes)
    }
    try {
      rules.judge(item, (index) => found.get(index))
      if (entry?.kind === REDACTION) {
        for (const index of entry.indexes) missing.delete(index)
        redacted.push(...entry.indexes)
      }
      return undefined
    } catch (error) {
      if (!(error instanceof BrokenRule)) throw error
      return error
    } finally {
      if (item.document !== undefined && (entry?.kind === GENESIS || entry?.kind === POLICY)) {
        this.#policies.set(item.index, item.document)
        if (this.#policies.size > 4) this.#policies.delete(this.#policies.keys().next().value!)
      }
    }
  }

  /** Documents of the policies that were read last: evidence needs them, and a log that is caught may give them no more. */
  readonly #policies = new Map<number, Uint8Array>()

  async #document(entry: Entry): Promise<Uint8Array | undefined> {
    const { reader, log } = this.#parts
    if (entry.kind === EVENT && !log.keeper) return undefined
    return reader.addendum(entry.addendum)
  }

  /** Whether a person has accepted that an entry breaks a rule. */
  #isCleared(rule: Rule, index: number): boolean {
    return this.#parts.state.incidents(this.#origin).some(({ cleared, evidence }) => {
      if (cleared === null) return false
      const fault = parseFault(toUtf8(evidence))
      return fault.kind === 'invalid-entry' && fault.rule === rule && fault.items[0].index === index
    })
  }

  /** Evidence against an entry, once it is proved to be in the cosigned tree. False when a person has accepted it. */
  async #acted(broken: BrokenRule, accused: Item, head: SignedHead): Promise<boolean> {
    const { reader } = this.#parts
    if (this.#isCleared(broken.rule, accused.index)) return false
    const known = new Map(this.#policies)
    if (accused.document !== undefined) known.set(accused.index, accused.document)
    const items = await proveItems(reader, head, [accused.index, ...broken.needs, 0], known)
    const first = items.find(({ index }) => index === accused.index)!
    const rest = items.filter((one) => one !== first)
    const fault = {
      kind: 'invalid-entry',
      keys: this.#vkeys,
      note: head.note,
      rule: broken.rule,
      items: [first, ...rest],
    } as const
    this.#accuse(fault, `entry ${accused.index} breaks the rule "${broken.rule}": ${broken.message}`)
    return true
  }

  /** Between the cosignature that it was not yet under, and the one that it is under. */
  #judgeTime({ time }: Entry, index: number, after: number | undefined, before: number): void {
    const early = after !== undefined && time < 1_000 * after - TOLERANCE
    if (!early && time <= 1_000 * before + TOLERANCE) return
    const why = `entry ${index} says ${new Date(time).toISOString()}, and was not there before ${new Date(1_000 * (after ?? 0)).toISOString()} or is later than ${new Date(1_000 * before).toISOString()}`
    this.#parts.alerts.raise({ origin: this.#origin, kind: 'back-dated', why })
  }
}
