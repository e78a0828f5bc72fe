/**
 * A history as pipelines would make it, in two logs, with what is true of it beside: projects of their own that sometimes borrow from each
 * other, data sets that are cut and joined, models trained on them, tested, signed as manifests, deployed, quarantined. Always the same for a seed.
 * Written into the logs without signatures: indexes do not verify.
 */
import { addendumHash, joinAddendum } from '../../src/core/addendum.ts'
import { fromHex, toUtf8 } from '../../src/core/bytes.ts'
import { describe } from '../../src/core/describe.ts'
import { formatEnvelope } from '../../src/core/dsse.ts'
import { EVENT, encodeEntry } from '../../src/core/entry.ts'
import type { LineageRole } from '../../src/core/lineage.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { CLOUDEVENTS, IN_TOTO } from '../../src/core/payload.ts'
import { loadTree } from '../../src/log/prover.ts'
import { logFiles } from '../../src/store/folder.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'

export interface TrueEvent {
  readonly log: 'data' | 'models'
  readonly index: number
  readonly time: number
  /** Id of the key. */
  readonly key: string
  readonly type: string
  readonly payloadType: string
  readonly payload: object
  /** By the role that the entry says, those of manifests and those past 64 included. To lineage, nobody who marks an event produced anything. */
  readonly edges: readonly { readonly role: LineageRole; readonly artifact: string }[]
  /** Words that stand in it and in few others. */
  readonly words: readonly string[]
  readonly marks?: { readonly log: string; readonly index: number; readonly kind: string }
}

const ORIGINS = { data: 'log.example/data', models: 'log.example/models' } as const
const WORDS = 'amber basalt cedar delta ember fjord garnet heron indigo juniper kelp lichen marble nectar onyx'.split(
  ' ',
)
/** `start`: time of the first event; indexes begin after a genesis. */
export function makeHistory(count: number, keys: readonly string[], start: number): TrueEvent[] {
  let state = 7
  /** mulberry32. */
  const random = (): number => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32
  }
  const below = (n: number): number => Math.floor(random() * n)
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!
  const recent = <T>(list: readonly T[]): T => list[Math.max(0, list.length - 1 - below(12))]!
  const fresh = (): string =>
    Array.from({ length: 8 }, () =>
      below(2 ** 32)
        .toString(16)
        .padStart(8, '0'),
    ).join('')

  interface Thing {
    readonly digest: string
    readonly name: string
  }
  const projects = Array.from({ length: Math.max(4, Math.floor(count / 500)) }, (_, i) => ({
    name: `project-${i}`,
    data: [] as Thing[],
    models: [] as Thing[],
  }))
  const events: TrueEvent[] = []
  const next = { data: 1, models: 1 }
  let time = start
  const sha = (thing: Thing) => ({ name: thing.name, digest: { sha256: thing.digest } })
  const id = ({ digest }: Thing) => `sha256:${digest}`
  const edges = (role: LineageRole, things: readonly Thing[]) => things.map((one) => ({ role, artifact: id(one) }))
  const statement = (predicateType: string, subject: readonly Thing[], predicate: object) => ({
    ...{ _type: 'https://in-toto.io/Statement/v1', predicateType, predicate },
    subject: subject.map(sha),
  })

  while (events.length < count) {
    const project = pick(projects)
    const data = random() < 0.03 ? pick(projects).data : project.data
    const inputs = (most: number): Thing[] => [...new Set(Array.from({ length: 1 + below(most) }, () => recent(data)))]
    const word = `${pick(WORDS)}${below(Math.max(10, count / 20))}`
    const make = (kind: string): Thing => ({ digest: fresh(), name: `${project.name}/${kind}-${word}` })
    const add = (
      log: TrueEvent['log'],
      type: string,
      payload: object,
      of: TrueEvent['edges'],
      marks?: TrueEvent['marks'],
    ): void => {
      time += below(2_000)
      const payloadType = 'specversion' in payload ? CLOUDEVENTS : IN_TOTO
      const key = keys[(project.name.length * 7 + below(3) + below(keys.length)) % keys.length]!
      const words = [word, ...(marks ? ['suspicious'] : [])]
      const common = { log, index: next[log]++, time, key, type, payloadType, payload, edges: of, words }
      events.push(marks ? { ...common, marks } : common)
    }
    const dice = random()
    if (data.length === 0 || dice < 0.2) {
      // One digest that two ingests claim to have produced is a contradiction, and happens.
      const made = project.data.length > 0 && random() < 0.02 ? pick(project.data) : make('set')
      const event = {
        specversion: '1.0',
        id: fresh(),
        source: '/ingest',
        type: 'org.example.ingest',
        subject: made.name,
      }
      add('data', event.type, { ...event, data: { note: word }, produced: id(made) }, edges('produced', [made]))
      project.data.push(made)
    } else if (dice < 0.45) {
      const made = random() < 0.3 ? [make('train'), make('test')] : [make('set')]
      const from = random() < 0.002 ? Array.from({ length: 100 }, () => make('shard')) : inputs(3)
      const type = 'urn:treeline:step:v1'
      const predicate = {
        origin: ORIGINS.data,
        consumed: from.map(sha),
        parameters: { note: word, rate: below(100) / 100 },
      }
      add('data', type, statement(type, made, predicate), [...edges('produced', made), ...edges('consumed', from)])
      project.data.push(...made)
    } else if (dice < 0.65 || project.models.length === 0) {
      const from = inputs(4)
      const made = make('model')
      const log = make('log')
      const commit = fresh().slice(0, 40)
      const type = 'https://slsa.dev/provenance/v1'
      const code = { uri: `git+https://git.example/${word}`, digest: { gitCommit: commit } }
      const predicate = {
        buildDefinition: { buildType: 'urn:example:train', resolvedDependencies: [...from.map(sha), code] },
        runDetails: { builder: { id: 'urn:example:builder' }, byproducts: [sha(log)] },
      }
      add('models', type, statement(type, [made], predicate), [
        ...edges('produced', [made, log]),
        ...edges('consumed', from),
        { role: 'consumed', artifact: `gitCommit:${commit}` },
      ])
      project.models.push(made)
    } else if (dice < 0.8) {
      const type = 'https://in-toto.io/attestation/test-result/v0.1'
      const model = recent(project.models)
      add('models', type, statement(type, [model], { result: 'PASSED', note: word }), edges('examined', [model]))
    } else if (dice < 0.87) {
      const type = 'https://model_signing/signature/v1.0'
      const files = [...new Set([recent(project.models), recent(project.models)]), make('config')]
      const whole = make('manifest')
      const resources = files.map(({ name, digest }) => ({ name, algorithm: 'sha256', digest }))
      const predicate = { serialization: { method: 'files', note: word }, resources }
      add('models', type, statement(type, [whole], predicate), [...edges('examined', [whole]), ...edges('file', files)])
      project.models.push(whole)
    } else if (dice < 0.97) {
      const model = recent(project.models)
      const image = make('image')
      const type = 'https://in-toto.io/attestation/link/v0.3'
      const predicate = { name: 'deploy', command: [word], materials: [sha(model)], byproducts: {}, environment: {} }
      add('models', type, statement(type, [image], predicate), [
        ...edges('produced', [image]),
        ...edges('consumed', [model]),
      ])
    } else {
      const target = pick(events)
      const kind = random() < 0.7 ? 'quarantine' : 'supersedes'
      const type = `urn:treeline:${kind}:v1`
      const predicate = { origin: ORIGINS[target.log], index: target.index, reason: `suspicious ${word}` }
      // What is marked, or what says why. The entry calls it produced.
      const [of] = target.edges.filter(({ artifact }) => artifact.startsWith('sha256:'))
      const about =
        of && random() < 0.5 ? { digest: of.artifact.slice(7), name: `${project.name}/marked-${word}` } : make('report')
      const marks = { log: target.log, index: target.index, kind }
      add('models', type, statement(type, [about], predicate), edges('produced', [about]), marks)
    }
  }
  return events
}

/** Appends the events to the logs `data` and `models` of a folder that no server has open; each has a genesis at 0. */
export async function writeHistory(data: string, events: readonly TrueEvent[]): Promise<void> {
  for (const name of ['data', 'models'] as const) {
    const store = SqliteStore.open(logFiles(data, name).database)
    let tree = await loadTree(store)
    const own = events.filter(({ log }) => log === name)
    for (let at = 0; at < own.length; at += 256) {
      const part = own.slice(at, at + 256).map((event) => encode(event))
      const { tree: grown, full } = tree.append(part.map(({ entry }) => leafHash(entry)))
      await store.commit({
        from: tree.size,
        entries: part.map(({ entry }) => entry),
        addenda: part.map(({ addendum }, i) => ({ index: tree.size + i, bytes: addendum })),
        ...{ redactions: [], policies: [], tiles: full },
        head: { size: grown.size, root: grown.root, time: part.at(-1)!.time },
      })
      tree = grown
    }
    while (await store.maintain());
    await store.close()
  }
}

const NO_SIGNATURE = new Uint8Array(64)

function encode({ payloadType, payload: document, key, time }: TrueEvent) {
  const payload = toUtf8(JSON.stringify(document))
  const envelope = formatEnvelope({ payloadType, payload, signatures: [{ keyid: key, signature: NO_SIGNATURE }] })
  const addendum = joinAddendum(new Uint8Array(16), envelope)
  const described = describe({ keys: [fromHex(key)!], payloadType, payload }, { produces: [], private: [] })
  const entry = encodeEntry({ kind: EVENT, time, ...described, addendum: addendumHash(addendum), policy: 0 })
  return { entry, addendum, time }
}
