/** What the payloads that we read have in common. */

export const IN_TOTO = 'application/vnd.in-toto+json'
export const CLOUDEVENTS = 'application/cloudevents+json'

/** As the payload spells it; artifact.ts judges. */
export interface Digest {
  readonly algorithm: string
  readonly value: string
}

export interface Payload {
  /** Predicate type (in-toto) or event type (CloudEvents). */
  readonly type: string
  /** Names of the subjects; '' for one without a name, which only a pattern for everything matches. */
  readonly subjects: readonly string[]
  /** Digests of in-toto subjects, whose role depends on the type and on the policy. */
  readonly subjectDigests: readonly Digest[]
  readonly produced: readonly Digest[]
  readonly consumed: readonly Digest[]
  readonly examined: readonly Digest[]
  /** The log for which the statement was made, where it says one. */
  readonly origin: string | undefined
}

export type JsonObject = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is JsonObject =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
