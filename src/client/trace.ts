/**
 * Lineage with proof. A server answers what an artifact came from or reached; each event of its answer is fetched with its evidence and verified
 * against the trust policy, and the graph is made again from that evidence alone. What the server said and the evidence does not, and the other
 * way round, is a fault, and is named. What a server leaves out altogether only a scan of its logs can show (`complete`).
 *
 * Long, because all that one answer is held against shares what was fetched for it.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { equal, toBase64, toUtf8 } from '../core/bytes.ts'
import type { Checkpoint } from '../core/checkpoint.ts'
import { type Code, TreelineError } from '../core/errors.ts'
import type { Lineage, LineageEdge, LineageStep } from '../core/lineage.ts'
import { type Hash, verifyConsistency } from '../core/merkle.ts'
import { parseProof } from '../core/proof-file.ts'
import { originOf, type ProvedEvent, provedLineage, provedStep } from '../core/proved-lineage.ts'
import { verifyCheckpoint, type WitnessPolicy, withoutQuorum } from '../core/witness-policy.ts'
import { ahead } from './ahead.ts'
import { requirePrefix, type SignedHead } from './fork.ts'
import { AcceptedHeads } from './heads.ts'
import { HttpSource } from './http-source.ts'
import { type AnsweredLog, fetchLineage, type LineageAnswer, type Question } from './lineage-answer.ts'
import { fetchConsistency } from './reads.ts'
import { isEventLog, VerifiedLog } from './scan.ts'
import { scanLineage, within } from './scan-lineage.ts'
import { isClosed } from './search.ts'
import { PASSING, type Transport } from './transport.ts'
import { policyFor, stateFolder, type Trust } from './trusted-log.ts'
import { sayIndexes } from './unread.ts'
import { verifyFile } from './verify.ts'

export interface TraceParts {
  /** Of a log by its name on the server. */
  readonly open: (log: string) => Transport
  /** The log that is asked. */
  readonly log: string
  /** Origins of logs of the server that the reader knows, by their names there; the one that is asked is among them. */
  readonly known: ReadonlyMap<string, string>
  readonly trust: Trust
  /** Where the newest checkpoint that was seen of each log is kept. */
  readonly state: string
  readonly question: Question
  /** Read the logs whole, so that nothing can be left out. */
  readonly complete: boolean
  readonly progress?: (what: string, done: number, total: number) => void
}

interface Consistency {
  readonly size: number
  readonly hashes: readonly Hash[]
}

/** One log of a trace, and how the checkpoints of its evidence are parts of its head. */
interface TracedLog {
  readonly log: string
  readonly origin: string
  readonly head: SignedHead
  readonly consistency: readonly Consistency[]
  /** How many entries were read, where the log was read whole. */
  readonly scanned: number | null
}

interface TracedEvent extends ProvedEvent {
  /** The evidence file. */
  readonly file: Uint8Array
}

export interface Trace {
  readonly question: Question
  /** Made from the evidence alone. */
  readonly lineage: Lineage
  readonly events: readonly TracedEvent[]
  readonly logs: readonly TracedLog[]
  /** Where what the server said is not what was proved. */
  readonly faults: readonly string[]
  /** What the server told of and the reader cannot prove, for lack of a key or of a right: it is not in the lineage, and nobody's fault. */
  readonly gaps: readonly string[]
  /** What may be missing, and is nobody's fault. */
  readonly notices: readonly string[]
}

/** How long to wait for an index that is behind, and how often to look, ms. */
const INDEX_PATIENCE = 5_000
const INDEX_LOOK = 100
/** The reader may not read it, or it is not there. */
const CLOSED: ReadonlySet<string> = new Set<Code>(['UNAUTHENTICATED', 'FORBIDDEN', 'UNKNOWN_LOG', 'NOT_FOUND'])
export const isClosedLog = ({ code }: TreelineError): boolean => CLOSED.has(code)
/** Evidence that is fetched at once. */
const EVIDENCE_AHEAD = 8

type Place = { readonly log: string; readonly index: number }
const sizeIn = (note: string): number => Number(note.split('\n')[1])
const placeOf = ({ log, index }: Place): string => `${log} ${index}`
const edgesOf = ({ log, index, artifacts }: LineageStep): LineageEdge[] =>
  artifacts.map(({ role, algorithm, digest }) => ({ log, index, artifact: `${algorithm}:${digest}`, role }))
const sayEdge = (edge: LineageEdge): string => `${sayPlace(edge)} ${VERBS[edge.role]} ${edge.artifact}`
const VERBS = { produced: 'produced', consumed: 'consumed', examined: 'examined', file: 'lists as a file' } as const
const sayPlace = ({ log, index }: Place): string => `event ${index} of ${log}`

/** Throws what `fetchLineage` and the transport do, and UNVERIFIED_NOTE for a log that the trust policy does not accept. */
export async function trace(parts: TraceParts): Promise<Trace> {
  return new Tracer(parts).run()
}

class Tracer {
  readonly #parts: TraceParts
  readonly #faults = new Set<string>()
  readonly #notices = new Set<string>()
  /** Indexes, by their log: logs that no trust policy has a key of, and evidence that the reader may not read. */
  readonly #unpinned = new Map<string, { readonly origin: string; readonly indexes: Set<number> }>()
  readonly #closed = new Map<string, Set<number>>()
  readonly #events = new Map<string, TracedEvent>()
  readonly #heads = new Map<string, SignedHead>()
  readonly #origins = new Map<string, string>()
  /** How what a successor goes on from is a part of its predecessor, by the name of the predecessor. */
  readonly #links = new Map<string, Consistency>()

  constructor(parts: TraceParts) {
    this.#parts = parts
  }

  async run(): Promise<Trace> {
    const { question, complete } = this.#parts
    const answer = await this.#ask()
    this.#requireAnswered(answer)
    for (const log of answer.logs) await this.#answered(log)
    for (const [log, origin] of this.#parts.known) if (!this.#heads.has(log)) await this.#unanswered(log, origin)

    const scan = complete ? await this.#scan(answer) : undefined
    const listed: Place[] = [...answer.events, ...(scan?.lineage.events ?? [])]
    const marks: Place[] = [...answer.events, ...(scan?.lineage.events ?? [])].flatMap(({ marks }) => marks)
    await this.#fetch([...listed, ...(await this.#rivals(answer)), ...marks])
    await this.#chain()

    const all = [...this.#events.values()]
    const lineage = provedLineage(question, all)
    this.#compare(answer, lineage)
    return {
      question,
      lineage: { ...lineage, truncated: lineage.truncated || answer.truncated },
      events: all,
      logs: await this.#logs(scan?.sizes),
      faults: [...this.#faults],
      gaps: this.#gaps(listed, lineage),
      notices: [...this.#notices],
    }
  }

  #open(log: string): Transport {
    return this.#parts.open(log)
  }

  /** The index runs behind the log: what was logged a moment ago is worth waiting for. */
  async #ask(): Promise<LineageAnswer> {
    const transport = this.#open(this.#parts.log)
    const end = performance.now() + Math.min(transport.patience, INDEX_PATIENCE)
    for (;;) {
      const answer = await fetchLineage(transport, this.#parts.question)
      const behind = answer.logs.some(({ completeTo, checkpoint }) => completeTo < sizeIn(checkpoint))
      if (!behind || performance.now() > end) return answer
      await sleep(INDEX_LOOK)
    }
  }

  /** An answer to another question proves nothing about this one. */
  #requireAnswered({ start, direction, depth }: LineageAnswer): void {
    const { question } = this.#parts
    // No start: the server says that it knows no such artifact.
    const same = question.artifact === undefined || start.every((id) => id === question.artifact)
    if (!same || direction !== question.direction || depth > question.depth)
      throw new TreelineError('INVALID_PROOF', 'the answer of the log is wrong: it is to another question')
  }

  async #answered({ log, origin, completeTo, checkpoint, payload }: AnsweredLog): Promise<void> {
    const { trust, known } = this.#parts
    if ((known.get(log) ?? origin) !== origin)
      throw new TreelineError(
        'INVALID_PROOF',
        `the answer of the log is wrong: ${log} is ${known.get(log)}, not ${origin}`,
      )
    const policy = policyFor(trust, origin)
    if (policy === undefined) {
      this.#unpinned.set(log, { origin, indexes: new Set() })
      return
    }
    const head = await this.#head(log, origin, policy)
    const answered = verifyCheckpoint(toUtf8(checkpoint), withoutQuorum(policy))
    if (answered.checkpoint.origin !== origin || BigInt(completeTo) > answered.checkpoint.size)
      throw new TreelineError(
        'INVALID_PROOF',
        `the answer of the log is wrong: its head of ${log} is not one of ${origin}`,
      )
    if (payload === false)
      this.#notices.add(
        `the server looked at no payload of ${log}, which takes that scope: artifacts and names that stand only there are left out`,
      )
    if (BigInt(completeTo) < head.checkpoint.size)
      this.#notices.add(`the index of ${log} is at ${completeTo} of ${head.checkpoint.size} entries: ask again later`)
  }

  /** A log that the reader knows and the answer does not: raw, closed to this reader, or hidden. */
  async #unanswered(log: string, origin: string): Promise<void> {
    const { complete, trust } = this.#parts
    const policy = policyFor(trust, origin)!
    if (!complete) {
      this.#notices.add(`the answer does not look at ${log}, of which the trust policy has a key`)
      return
    }
    try {
      const { note } = await this.#head(log, origin, policy)
      const verified = await VerifiedLog.open(new HttpSource(this.#open(log)), { trust: policy, origin, note })
      if (await isEventLog(verified)) this.#faults.add(`the server leaves the log ${log} out of its answer`)
      else this.#heads.delete(log)
    } catch (error) {
      if (!(error instanceof TreelineError) || !isClosedLog(error)) throw error
      this.#heads.delete(log)
      this.#notices.add(`${log}, of which the trust policy has a key, could not be read: ${error.message}`)
    }
  }

  /** The published head, once it is shown to go on from what was seen before. */
  async #head(log: string, origin: string, trust: WitnessPolicy): Promise<SignedHead> {
    const { state } = this.#parts
    const transport = this.#open(log)
    const heads = new AcceptedHeads({ folder: stateFolder(state, origin), origin, trust })
    const { head, shown } = await within(log, async () => heads.advance(transport, await transport.get('checkpoint')))
    if (shown.checkpoint.size < head.checkpoint.size)
      this.#faults.add(
        `${log} serves an old head: ${shown.checkpoint.size} entries, after it has shown ${head.checkpoint.size}`,
      )
    this.#heads.set(log, head)
    this.#origins.set(log, origin)
    return head
  }

  async #scan(answer: LineageAnswer) {
    const { question, progress } = this.#parts
    const scan = await scanLineage({
      question,
      logs: [...this.#heads].map(([log, { note }]) => ({
        log,
        origin: this.#origins.get(log)!,
        trust: this.#policyOf(log),
        note,
        source: new HttpSource(this.#open(log)),
      })),
      ...(progress && { progress: (log, done, total) => progress(`reading ${log}`, done, total) }),
    })
    if (answer.truncated || scan.lineage.truncated) return scan
    const indexed = new Map(answer.logs.map(({ log, completeTo }) => [log, completeTo]))
    // An index that is behind does not hide what it has not seen.
    const known = ({ log, index }: Place): boolean => index < (indexed.get(log) ?? 0)
    const told = new Set(answer.events.map(placeOf))
    for (const event of scan.lineage.events)
      if (known(event) && !told.has(placeOf(event)))
        this.#faults.add(`the server leaves out ${sayPlace(event)} (${event.type})`)
    const marks = (events: Lineage['events']) =>
      events.flatMap((event) =>
        event.marks.filter(known).map((mark) => `${mark.kind} of ${sayPlace(event)} by ${sayPlace(mark)}`),
      )
    const shown = new Set(marks(answer.events))
    for (const mark of marks(scan.lineage.events))
      if (!shown.has(mark)) this.#faults.add(`the server leaves out the ${mark}`)
    for (const notice of scan.notices) this.#notices.add(notice)
    return scan
  }

  /** Where several events produced one artifact, all of them: that they contradict each other is for the evidence to say. */
  async #rivals({ artifacts }: LineageAnswer): Promise<Place[]> {
    const found: Place[] = []
    for (const { id } of artifacts.filter(({ producers }) => producers > 1)) {
      const question = { artifact: id, direction: 'up', depth: 1, limit: this.#parts.question.limit } as const
      const { edges } = await fetchLineage(this.#open(this.#parts.log), question)
      found.push(...edges.filter(({ artifact, role }) => artifact === id && role === 'produced'))
    }
    return found
  }

  async #fetch(places: readonly Place[]): Promise<void> {
    const { progress } = this.#parts
    const wanted = [...new Map(places.map((place) => [placeOf(place), place])).values()]
    let done = 0
    for await (const one of ahead(wanted, EVIDENCE_AHEAD, (place) => this.#evidence(place))) {
      if (one !== undefined) this.#events.set(placeOf({ log: one.log, index: one.evidence.index }), one)
      progress?.('fetching evidence', ++done, wanted.length)
    }
  }

  /** Undefined, and a fault, where the server does not give what it told of, or gives something else. */
  async #evidence(place: Place): Promise<TracedEvent | undefined> {
    const { log, index } = place
    const origin = this.#origins.get(log)
    const unpinned = this.#unpinned.get(log)
    if (unpinned !== undefined) return void unpinned.indexes.add(index)
    try {
      if (origin === undefined) throw new TreelineError('INVALID_PROOF', 'it is in a log that the answer does not list')
      const file = await this.#open(log).get(`v1/evidence/${index}`)
      const verified = verifyFile({ file, trust: this.#parts.trust })
      if (verified.kind !== 'evidence') throw new TreelineError('INVALID_PROOF', 'it is no evidence file')
      const { evidence } = verified
      if (originOf(evidence) !== origin || evidence.index !== index)
        throw new TreelineError('INVALID_PROOF', `it is of ${evidence.index} of ${originOf(evidence)}`)
      provedStep({ log, evidence })
      return { log, evidence, file }
    } catch (error) {
      if (!(error instanceof TreelineError) || PASSING.has(error.code)) throw error
      if (isClosed(error)) {
        this.#closed.set(log, (this.#closed.get(log) ?? new Set()).add(index))
        return undefined
      }
      this.#faults.add(`${sayPlace(place)}, which the server lists, is not proved: ${error.message}`)
      return undefined
    }
  }

  /** What the server said against what was proved. */
  #compare(answer: LineageAnswer, lineage: Lineage): void {
    const { since, until } = this.#parts.question
    const steps = new Map([...this.#events].map(([place, one]) => [place, provedStep(one)]))
    const told = new Set(answer.edges.map(sayEdge))
    for (const edge of answer.edges) {
      const step = steps.get(placeOf(edge))
      if (step !== undefined && !edgesOf(step).some((one) => sayEdge(one) === sayEdge(edge)))
        this.#faults.add(`the server invents that ${sayEdge(edge)}`)
    }
    const listed = new Set(answer.artifacts.map(({ id }) => id))
    for (const event of answer.events) {
      const step = steps.get(placeOf(event))
      if (step === undefined) continue
      const { time, type, keys, signers = [] } = step
      for (const [name, said, real] of [
        ['time', event.time, time],
        ['type', event.type, type],
        ['keys', event.keys.join(', '), keys.join(', ')],
        ['signers', event.signers.join(', '), signers.join(', ')],
      ])
        if (said !== real) this.#faults.add(`the server says ${name} ${said} of ${sayPlace(event)}: it is ${real}`)
      // What was cut off, by size or by time, hides nothing.
      for (const edge of edgesOf(step))
        if (!answer.truncated && listed.has(edge.artifact) && !told.has(sayEdge(edge)))
          this.#faults.add(`the server hides that ${sayEdge(edge)}`)
    }
    if (answer.truncated || since !== undefined || until !== undefined) return
    for (const { id, distance } of lineage.artifacts)
      if (!listed.has(id) && distance > 0)
        this.#faults.add(`the server hides ${id}, to which events that it lists lead`)
  }

  #policyOf(log: string): WitnessPolicy {
    return policyFor(this.#parts.trust, this.#origins.get(log)!)!
  }

  #gaps(listed: readonly Place[], { events }: Lineage): string[] {
    const some = (indexes: ReadonlySet<number>): string => sayIndexes([...indexes].sort((a, b) => a - b))
    const told = [...this.#unpinned.values()].filter(({ indexes }) => indexes.size > 0)
    const untold = [...this.#unpinned.values()].filter(({ indexes }) => indexes.size === 0)
    if (untold.length > 0)
      this.#notices.add(
        `the server also looked at ${untold.map(({ origin }) => origin).join(', ')}, of which no trust policy has a key, and tells of no step there`,
      )
    const gaps = [
      ...told.map(
        ({ origin, indexes }) =>
          `the lineage leads through ${origin} (${some(indexes)}), of which no trust policy has a key: add its log line, or give another --trust for it (treeline trust)`,
      ),
      ...[...this.#closed].map(
        ([log, indexes]) =>
          `the evidence of ${some(indexes)} of ${log} takes the scope payload there, which the token lacks`,
      ),
    ]
    if (gaps.length === 0) return []
    // Proved by itself, but only what is not shown leads to it.
    const shown = new Set(events.map(placeOf))
    for (const log of this.#origins.keys()) {
      const lost = listed.filter((one) => one.log === log && this.#events.has(placeOf(one)) && !shown.has(placeOf(one)))
      const indexes = new Set(lost.map(({ index }) => index))
      if (indexes.size > 0) gaps.push(`${some(indexes)} of ${log}, to which only such steps lead`)
    }
    return gaps
  }

  /** A log says in its genesis which one it goes on from. That one is shown to hold what it then held, and to be the one that is shown here. */
  async #chain(): Promise<void> {
    const logs = new Map([...this.#origins].map(([log, origin]) => [origin, log]))
    const successors = new Map([...this.#events.values()].map((one) => [one.log, one.evidence.successorOf]))
    for (const [log, old] of successors) {
      if (old === null) continue
      const before = logs.get(old.origin)
      if (before === undefined || !this.#heads.has(before)) {
        this.#notices.add(
          `${log} goes on from ${old.origin}, which was not looked at: what was logged before is not here`,
        )
        continue
      }
      const { checkpoint } = this.#heads.get(before)!
      const size = BigInt(old.size)
      const proof = size < checkpoint.size ? await fetchConsistency(this.#open(before), size, checkpoint.size) : []
      if (size > checkpoint.size || !verifyConsistency(size, checkpoint.size, old.root, checkpoint.root, proof))
        this.#faults.add(
          `${log} goes on from ${old.origin} at size ${old.size} with another root than ${before} has: they are not one history`,
        )
      else this.#links.set(before, { size: old.size, hashes: proof })
    }
  }

  async #logs(sizes: ReadonlyMap<string, number> | undefined): Promise<TracedLog[]> {
    const logs: TracedLog[] = []
    for (const [log, head] of this.#heads) {
      const origin = this.#origins.get(log)!
      const evidence = [...this.#events.values()].filter((one) => one.log === log)
      const scanned = sizes?.get(log) ?? null
      if (evidence.length === 0 && scanned === null) continue
      const checkpoints = evidence.map((one) => ({ file: one.file, checkpoint: one.evidence.checkpoint.checkpoint }))
      const consistency = await this.#consistency(log, head, checkpoints)
      const link = this.#links.get(log)
      if (
        link !== undefined &&
        link.size < Number(head.checkpoint.size) &&
        !consistency.some(({ size }) => size === link.size)
      )
        consistency.push(link)
      logs.push({ log, origin, head, scanned, consistency })
    }
    return logs
  }

  /** Proofs that all evidence of a log is of one tree. */
  async #consistency(
    log: string,
    head: SignedHead,
    checkpoints: readonly { readonly file: Uint8Array; readonly checkpoint: Checkpoint }[],
  ) {
    const transport = this.#open(log)
    const found = new Map<string, Consistency>()
    const { size, root, origin } = head.checkpoint
    const folder = stateFolder(this.#parts.state, origin)
    const { evidence } = new AcceptedHeads({ folder, origin, trust: this.#policyOf(log) })
    for (const { checkpoint, file } of checkpoints) {
      const key = `${checkpoint.size} ${toBase64(checkpoint.root)}`
      if (found.has(key)) continue
      if (checkpoint.size > size) {
        this.#faults.add(
          `${log} serves an old head: ${size} entries, and evidence under its checkpoint of ${checkpoint.size}`,
        )
        continue
      }
      const hashes = checkpoint.size < size ? await fetchConsistency(transport, checkpoint.size, size) : []
      const one =
        checkpoint.size < size
          ? verifyConsistency(checkpoint.size, size, checkpoint.root, root, hashes)
          : equal(checkpoint.root, root)
      // Writes the proof of a fork down, where it is one.
      if (!one) await requirePrefix(transport, { note: parseProof(file).checkpoint, checkpoint }, head, evidence)
      found.set(key, { size: Number(checkpoint.size), hashes })
    }
    return [...found.values()].filter(({ size: old }) => BigInt(old) < size).sort((a, b) => a.size - b.size)
  }
}
