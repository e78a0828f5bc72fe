/** The schemas of this folder as one flat set, by title: files, and the definitions inside of them. */
import batchLine from './batch-line.json' with { type: 'json' }
import batchReceipt from './batch-receipt.json' with { type: 'json' }
import bytes from './bytes.json' with { type: 'json' }
import canonicalEnvelope from './canonical-envelope.json' with { type: 'json' }
import consistencyProof from './consistency-proof.json' with { type: 'json' }
import envelope from './envelope.json' with { type: 'json' }
import event from './event.json' with { type: 'json' }
import eventList from './event-list.json' with { type: 'json' }
import health from './health.json' with { type: 'json' }
import inclusionProof from './inclusion-proof.json' with { type: 'json' }
import lineage from './lineage.json' with { type: 'json' }
import logList from './log-list.json' with { type: 'json' }
import policyAnswer from './policy-answer.json' with { type: 'json' }
import problem from './problem.json' with { type: 'json' }
import readiness from './readiness.json' with { type: 'json' }
import receipt from './receipt.json' with { type: 'json' }
import redactionAnswer from './redaction-answer.json' with { type: 'json' }
import redactionRequest from './redaction-request.json' with { type: 'json' }
import statement from './statement.json' with { type: 'json' }
import witnessList from './witness-list.json' with { type: 'json' }
import writePolicy from './write-policy.json' with { type: 'json' }

interface SchemaFile {
  readonly $id: string
  readonly title?: string
  readonly $defs?: Readonly<Record<string, object>>
}

export const FILES: readonly SchemaFile[] = [
  batchLine,
  batchReceipt,
  bytes,
  canonicalEnvelope,
  consistencyProof,
  envelope,
  event,
  eventList,
  health,
  inclusionProof,
  lineage,
  logList,
  policyAnswer,
  problem,
  readiness,
  witnessList,
  receipt,
  redactionAnswer,
  redactionRequest,
  statement,
  writePolicy,
]

/** Every schema by title; references between them become `prefix` and the title. */
export function bundle(prefix: string): Record<string, object> {
  const titles = new Map(FILES.map(({ $id, title }) => [$id, title]))
  const all: Record<string, object> = {}
  for (const { $schema: _, $id, $defs = {}, ...schema } of FILES as readonly (SchemaFile & { $schema?: string })[]) {
    if (schema.title !== undefined) all[schema.title] = schema
    Object.assign(all, $defs)
  }
  const point = (name: string, value: unknown): unknown => {
    if (name !== '$ref' || typeof value !== 'string') return value
    const [file = '', inside] = value.split('#/$defs/')
    return `${prefix}${inside ?? titles.get(file)}`
  }
  return JSON.parse(JSON.stringify(all, point)) as Record<string, object>
}
