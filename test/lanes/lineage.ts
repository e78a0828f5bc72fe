/**
 * Search and lineage over a history of 200,000 events by 40 signers, held against what is true of it (`support/true-lineage`), which shares no code with
 * the product. Asked of the product's two threads as the server asks them, over the indexes that they made. Every signer, every type, every kind
 * of filter; traces from one of forty artifacts, or with `--every 1` from all of them, and forty times as many searches for artifacts and words.
 */
import { parseArgs } from 'node:util'
import Database from 'better-sqlite3'
import type { LineageAnswer, LineageQuestion } from '../../src/log/lineage-source.ts'
import { Projections } from '../../src/log/projections.ts'
import type { EventFilter } from '../../src/log/search.ts'
import { logFiles } from '../../src/store/folder.ts'
import { Actor } from '../support/actors.ts'
import { makeHistory, type TrueEvent, writeHistory } from '../support/history.ts'
import { makeEventLog } from '../support/server.ts'
import { difference, stepsOf, TrueLineage, type Written, written } from '../support/true-lineage.ts'
import { check, eventually, lane, tempFolder } from './lane.ts'

const { values } = parseArgs({
  options: { events: { type: 'string', default: '200000' }, every: { type: 'string', default: '40' } },
})
const EVERY = Number(values.every)
const HOUR = 3_600_000
const NAMES = ['data', 'models'] as const
/** The most that one answer may list. */
const LIMIT = 20_000

/** The product. */
class Asked {
  readonly failures: unknown[] = []
  readonly #projections: Projections
  readonly #sizes: Readonly<Record<string, number>>

  private constructor(data: string, sizes: Readonly<Record<string, number>>) {
    this.#sizes = sizes
    this.#projections = new Projections({
      logs: NAMES.map((name) => ({ name, ...logFiles(data, name) })),
      onFailure: (error) => this.failures.push(error),
      onRenewed: (log, why) => this.failures.push(`${log}: ${why}`),
    })
  }

  /** Once all of the history is in the indexes. */
  static async open(data: string, events: readonly TrueEvent[]): Promise<Asked> {
    const sizes = Object.fromEntries(NAMES.map((name) => [name, 1 + events.filter(({ log }) => log === name).length]))
    const asked = new Asked(data, sizes)
    const done = async () => NAMES.every((name) => asked.#projections.size(name) === sizes[name]) || undefined
    await eventually('the indexes', done, 300)
    return asked
  }

  lineage(start: LineageQuestion['start'], direction: 'up' | 'down'): Promise<LineageAnswer> {
    const logs = NAMES.map((name) => ({
      ...{ name, origin: `log.example/${name}`, payload: true },
      size: this.#sizes[name]!,
    }))
    return this.#projections.lineage({ logs, start, direction, depth: 1_000, limit: LIMIT })
  }

  /** All pages. */
  async list(log: string, filter: EventFilter, order: 'asc' | 'desc'): Promise<number[]> {
    const found: number[] = []
    for (let from: number | null | undefined; from !== null; ) {
      const question = { log, filter, limit: 1_000, order, size: this.#sizes[log]!, payload: true } as const
      const page = await this.#projections.list({ ...question, ...(from !== undefined && { from }) })
      if (page.completeTo !== this.#sizes[log]) throw new Error(`${log} is complete to ${page.completeTo}`)
      found.push(...page.indexes)
      from = page.next
    }
    return found
  }

  close = (): Promise<void> => this.#projections.close()
}

interface Verdict {
  readonly count: number
  readonly right: boolean
  readonly why: string
}

class Judge {
  readonly truth: TrueLineage
  equal = 0
  different = 0
  /** Answers that only the limit of time cut. */
  late = 0
  readonly #events: readonly TrueEvent[]

  constructor(events: readonly TrueEvent[]) {
    this.#events = events
    this.truth = new TrueLineage(events)
  }

  get edges(): number {
    return this.#events.reduce((sum, { edges }) => sum + edges.length, 0)
  }

  async trace(asked: Asked, artifact: string, direction: 'up' | 'down'): Promise<string | undefined> {
    const [algorithm = '', digest = ''] = artifact.split(':')
    const ask = () => asked.lineage({ algorithm, digest }, direction)
    return this.#compare(ask, this.truth.walk([artifact], direction), `${artifact} ${direction}`)
  }

  traces(asked: Asked, every: number): Promise<Verdict> {
    const artifacts = this.truth.artifacts.filter((_, i) => i % every === 0)
    return this.#all(
      artifacts.flatMap((artifact) => (['up', 'down'] as const).map((way) => () => this.trace(asked, artifact, way))),
    )
  }

  /** From a tenth of an hour to all of it, which is more than an answer may list: then all that it lists must be true. */
  blastRadii(asked: Asked, keys: readonly string[]): Promise<Verdict> {
    const [first, last] = [this.#events[0]!.time, this.#events.at(-1)!.time]
    const spans = [
      ...[HOUR / 10, HOUR / 10, HOUR / 10, HOUR, HOUR, 2 * HOUR].map((length, i) => {
        const since = Math.floor(first + (0.1 + i * 0.15) * (last - first))
        return { since, until: since + length }
      }),
      { since: last - HOUR, until: undefined },
    ]
    // What one key's whole life reached is most of the graph: its truth takes seconds to write down.
    const whole = { since: undefined, until: undefined }
    return this.#all(
      keys.flatMap((signer, i) =>
        [...spans, ...(i < 2 ? [whole] : [])].map(
          ({ since, until }) =>
            () =>
              this.#blastRadius(asked, signer, since, until),
        ),
      ),
    )
  }

  async #blastRadius(asked: Asked, signer: string, since?: number, until?: number): Promise<string | undefined> {
    const within = ({ key, time }: TrueEvent) => key === signer && time >= (since ?? 0) && time < (until ?? Infinity)
    const seeds = this.#events.filter(within)
    const made = seeds.flatMap((one) =>
      stepsOf(one).flatMap(({ role, artifact }) => (role === 'produced' ? artifact : [])),
    )
    const window = { ...(since !== undefined && { since }), ...(until !== undefined && { until }) }
    const ask = () => asked.lineage({ signer, ...window }, 'down')
    return this.#compare(ask, this.truth.walk(made, 'down', seeds), `${signer} from ${since} to ${until}`)
  }

  async #compare(ask: () => Promise<LineageAnswer>, truth: Written, what: string): Promise<string | undefined> {
    const fits = truth.artifacts.length + truth.events.length <= LIMIT
    let answer = await ask()
    // On a busy machine the time for an answer may be over first: it says so, and is asked again.
    for (let i = 0; answer.truncated && fits && i < 5; i++) answer = await ask()
    if (answer.truncated && fits) this.late++
    const why = difference(written(answer), truth, answer.truncated)
    return why && `${what}: ${why}`
  }

  async search(
    asked: Asked,
    log: (typeof NAMES)[number],
    filter: EventFilter,
    fits: (one: TrueEvent) => boolean,
    among = this.#events,
  ): Promise<string | undefined> {
    const truth = among.filter((one) => one.log === log && fits(one)).map(({ index }) => index)
    // The policy that the log begins with has a time too, before all events.
    if (Object.keys(filter).join() === 'until' || filter.kind === 'genesis') truth.unshift(0)
    const told = [await asked.list(log, filter, 'asc'), (await asked.list(log, filter, 'desc')).reverse()]
    const wrong = told.find((indexes) => indexes.join() !== truth.join())
    return wrong && `${log} ${JSON.stringify(filter)}: ${wrong.length} found, ${truth.length} true`
  }

  searches(asked: Asked, keys: readonly string[], every: number): Promise<Verdict> {
    type Case = [filter: EventFilter, fits: (one: TrueEvent) => boolean, among?: readonly TrueEvent[]]
    const cases: Case[] = []
    const types = [...new Set(this.#events.map(({ type }) => type))]
    const at = (part: number) => this.#events[Math.floor(part * (this.#events.length - 1))]!.time
    for (const signer of keys) {
      cases.push([{ signer }, ({ key }) => key === signer])
      for (const type of types.slice(0, 3))
        cases.push([
          { signer, type, since: at(0.3), until: at(0.6) },
          (one) => one.key === signer && one.type === type && one.time >= at(0.3) && one.time < at(0.6),
        ])
    }
    for (const type of [...types, 'nothing']) cases.push([{ type }, (one) => one.type === type])
    for (const prefix of ['https://', 'https://in-toto.io/', 'urn:treeline:', 'org.', ''])
      cases.push([{ type: `${prefix}*` }, ({ type }) => type.startsWith(prefix)])
    for (let i = 0; i < 20; i++) {
      const [since, until] = [at(i / 20), at(i / 20 + 0.01 * (i % 7))]
      cases.push([{ since, until }, ({ time }) => time >= since && time < until])
      const [late, early] = [at(1 - i / 400), at(i / 400)]
      cases.push([{ since: late }, ({ time }) => time >= late], [{ until: early }, ({ time }) => time < early])
      for (const role of ['produced', 'consumed', 'examined'] as const)
        cases.push([
          { role, since, until },
          (one) => one.time >= since && one.time < until && one.edges.slice(0, 64).some((edge) => edge.role === role),
        ])
    }
    for (const kind of ['genesis', 'event', 'policy', 'redaction'] as const)
      cases.push([{ kind }, () => kind === 'event'])
    this.truth.artifacts.forEach((id, i) => {
      if (i % (every * 10) !== 0) return
      const [algorithm = '', digest = ''] = id.split(':')
      const among = [...new Set(this.truth.eventsOf(id).map(({ event }) => event))]
      cases.push(
        [{ artifact: { algorithm, digest } }, () => true, among],
        [{ artifact: { digest } }, () => true, among],
      )
      for (const role of ['produced', 'consumed', 'examined', 'file'] as const)
        cases.push([
          { artifact: { digest }, role },
          ({ edges }) => edges.some((edge) => edge.role === role && edge.artifact === id),
          among,
        ])
    })
    const byWord = Map.groupBy(
      this.#events.flatMap((event) => [...wordsOf(event)].map((word) => ({ word, event }))),
      ({ word }) => word,
    )
    ;[...byWord].forEach(([word, all], i) => {
      if (i % (every * 4) !== 0) return
      const among = all.map(({ event }) => event)
      const { key } = among[0]!
      cases.push(
        [{ terms: [word] }, () => true, among],
        [{ terms: [word.toUpperCase(), 'project'] }, () => true, among],
      )
      cases.push([{ terms: [word], signer: key }, (one) => one.key === key, among])
    })
    cases.push([{ terms: ['nowhere'] }, () => false], [{ signer: 'ab'.repeat(32) }, () => false])
    return this.#all(
      cases.flatMap(([filter, fits, among]) => NAMES.map((log) => () => this.search(asked, log, filter, fits, among))),
    )
  }

  /** Some at a time: while the product looks for one answer, the truth of another is found. */
  async #all(questions: readonly (() => Promise<string | undefined>)[]): Promise<Verdict> {
    const wrong: string[] = []
    let next = 0
    const line = async (): Promise<void> => {
      for (let question = questions[next++]; question !== undefined; question = questions[next++]) {
        const why = await question()
        if (why === undefined) this.equal++
        else this.different++
        if (why !== undefined && wrong.push(why) > 10) return
      }
    }
    await Promise.all(Array.from({ length: 8 }, line))
    return { count: questions.length, right: wrong.length === 0, why: wrong.join('\n') }
  }
}

/** Those that the generator makes up: a name and a number in one. All events have one, and the word `project`. */
const wordsOf = ({ payload }: TrueEvent): ReadonlySet<string> =>
  new Set(JSON.stringify(payload).match(/\b(?!sha256)[a-z]{3,}\d+\b/g) ?? [])

await lane(async () => {
  const data = tempFolder()
  const actors = Array.from({ length: 40 }, () => new Actor())
  const keys = actors.map(({ key }) => key.id)
  for (const name of NAMES) {
    const signers = actors.map((actor, i) => ({ actor, name: `signer-${i}`, shared: true }))
    await makeEventLog(data, [new Actor()], signers, { name, origin: `log.example/${name}` })
  }
  const events = makeHistory(Number(values.events), keys, Date.now() + 60_000)
  await writeHistory(data, events)
  const judge = new Judge(events)
  console.log(
    `${events.length} events, ${judge.truth.artifacts.length} artifacts, ${judge.edges} edges, ${keys.length} signers`,
  )

  let asked = await Asked.open(data, events)
  const traces = await judge.traces(asked, EVERY)
  check(
    `${traces.count} traces, up and down from one of ${EVERY} artifacts each, are what is true`,
    traces.right,
    traces.why,
  )
  const blasts = await judge.blastRadii(asked, keys)
  check(`${blasts.count} blast radii, of each key in several spans, are what is true`, blasts.right, blasts.why)
  const searches = await judge.searches(asked, keys, EVERY)
  check(`${searches.count} searches by every kind of filter find what is true`, searches.right, searches.why)
  check('nothing failed meanwhile', asked.failures.length === 0, asked.failures.join('\n'))
  await asked.close()
  console.log(`${judge.equal} answers equal, ${judge.different} different`)
  console.log(
    `${judge.late} of the equal ones were cut by the limit of time, and said so: of those, all that they list is true`,
  )
  check('few were', judge.late < judge.equal / 1_000)

  // The judge itself: one edge and one row of a type less in the indexes, and each must be missed.
  const hidden = events.find(({ log, edges }) => log === 'models' && edges[0]!.role === 'produced')!
  const index = new Database(logFiles(data, 'models').index)
  index.prepare('DELETE FROM by_artifact WHERE role = 1 AND idx = ?').run(hidden.index)
  index.prepare('DELETE FROM by_type WHERE idx = ?').run(hidden.index)
  index.close()
  asked = await Asked.open(data, events)
  const trace = await judge.trace(asked, hidden.edges[0]!.artifact, 'up')
  check('an edge that the index hides is a difference', trace !== undefined)
  const typed = await judge.search(asked, 'models', { type: hidden.type }, (one) => one.type === hidden.type)
  check('an event that the index hides from a search is a difference', typed !== undefined)
  await asked.close()
})
