/** What the views share: the server's answers, whom the reader trusts, and heads that were verified a moment ago. */
import { createContext } from 'preact'
import { useContext } from 'preact/hooks'
import type { LogList, PolicyAnswer, WritePolicy } from '../../schemas/types.ts'
import type { VerifierKey } from '../core/note.ts'
import { parseVkey } from '../core/vkey.ts'
import { Api, ApiError } from './api.ts'
import { type Head, type ListedLog, loadHead } from './head.ts'
import { type Marks, readMarks } from './marks.ts'
import type { ScannedGraph } from './scanned-graph.ts'
import { Trust } from './trust.ts'

/** A file, and its path from where it was dropped. */
export interface DroppedFile {
  readonly name: string
  readonly file: File
}

export class Session {
  readonly api = new Api()
  readonly trust: Trust
  /** Files that were dropped and not looked at yet. */
  dropped: readonly DroppedFile[] = []
  /** Changes whenever what was loaded may be another now. */
  version = 0
  refused: ApiError | undefined
  /** As the server named them when it was asked last: what is dropped makes nobody ask again. */
  #named: readonly VerifierKey[] = []
  readonly #listeners = new Set<() => void>()
  #logs: Promise<LogList> | undefined
  #marks: Promise<Marks> | undefined
  readonly #heads = new Map<string, Promise<Head>>()
  readonly #policies = new Map<string, Promise<WritePolicy | undefined>>()
  /** All logs of events as they were read and proved here, under the heads of now. */
  graph: ScannedGraph | undefined

  constructor(storage: Storage | undefined) {
    this.trust = new Trust(storage)
    this.trust.onChange = () => this.reload()
    this.api.onRefused = (error) => {
      this.refused = error
      this.#tell()
    }
  }

  subscribe(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  useToken(token: string): void {
    this.api.token = token
    this.refused = undefined
    this.reload()
  }

  drop(files: readonly DroppedFile[]): void {
    this.dropped = files
    this.version++
    this.#tell()
  }

  /** Forgets every answer, and asks again. */
  reload(): void {
    this.#logs = undefined
    this.#heads.clear()
    this.#marks = undefined
    this.#policies.clear()
    this.graph = undefined
    this.version++
    this.#tell()
  }

  logs(): Promise<LogList> {
    this.#logs ??= this.api.json<LogList>('/v1/logs').then((logs) => {
      if (!Array.isArray(logs)) throw new ApiError(0, 'WRONG_ANSWER', 'The answer is not a list of logs.')
      this.#named = logs.map(({ vkey }) => parseVkey(vkey))
      return logs
    })
    return this.#logs
  }

  readonly namedKeys = (origin: string): readonly VerifierKey[] => this.#named.filter(({ name }) => name === origin)

  async log(name: string): Promise<ListedLog> {
    const found = (await this.logs()).find((log) => log.name === name)
    if (found === undefined) throw new ApiError(0, 'UNKNOWN_LOG', `There is no log "${name}" here that you may read.`)
    return found
  }

  head(log: ListedLog): Promise<Head> {
    const head = this.#heads.get(log.name) ?? loadHead(this.api, this.trust, log)
    this.#heads.set(log.name, head)
    return head
  }

  /** The write policy in force, as the server tells it; undefined where it does not. */
  policy(log: ListedLog): Promise<WritePolicy | undefined> {
    const policy =
      this.#policies.get(log.name) ??
      this.api.json<PolicyAnswer>(`/${log.name}/v1/policy`).then(
        (answer) => answer.policy,
        () => undefined,
      )
    this.#policies.set(log.name, policy)
    return policy
  }

  /** Names of signers by key id: a convenience, the ids are what is verified. */
  async names(log: ListedLog): Promise<ReadonlyMap<string, string>> {
    const { signers = [] } = (await this.policy(log)) ?? {}
    return new Map(signers.map(({ id, name }) => [id, name]))
  }

  /** From when on the policies of these logs doubt what the key signed, ms since the Unix epoch: the earliest moment. */
  async compromisedSince(key: string): Promise<number | undefined> {
    const logs = (await this.logs()).filter(({ profile }) => profile === 'events')
    const policies = await Promise.all(logs.map((log) => this.policy(log)))
    const moments = policies
      .flatMap((policy) => policy?.signers ?? [])
      .flatMap(({ id, suspended }) => (id === key ? (suspended?.compromisedSince ?? []) : []))
    return moments.length === 0 ? undefined : Math.min(...moments)
  }

  /** What events of these logs say against others. */
  marks(): Promise<Marks> {
    this.#marks ??= readMarks(this)
    return this.#marks
  }

  #tell(): void {
    for (const listener of this.#listeners) listener()
  }
}

export const SessionContext = createContext<Session>(undefined as unknown as Session)
export const useSession = (): Session => useContext(SessionContext)
