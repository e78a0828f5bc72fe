/** One event: everything that can be checked of it in this page, each step by itself. */
import type { Event } from '../../schemas/types.ts'
import { ROLE_NAMES } from '../core/artifact.ts'
import { equal, toHex } from '../core/bytes.ts'
import { type Entry, EVENT, KIND_NAMES } from '../core/entry.ts'
import { parseEvidence, type VerifiedEvidence, verifyEvidence } from '../core/evidence.ts'
import { verifySignature } from '../core/signature.ts'
import { type Api, ApiError } from './api.ts'
import { type CheckedEntry, checkEntries } from './entries.ts'
import type { Head, ListedLog } from './head.ts'
import { checkRedaction, missingDocument } from './redaction-check.ts'
import { many, type Step, sentenceOf } from './verdict.ts'

export interface CheckedEvent {
  readonly checked: CheckedEntry
  readonly document: Event
  readonly steps: readonly Step[]
  /** Whether the log redacted its document, where the server says so: one of the steps. */
  readonly redaction?: Step
  /** What the evidence file proves; undefined where there was none to read, or where it failed. */
  readonly evidence?: VerifiedEvidence
  /** The evidence file as it came. */
  readonly file?: Uint8Array
}

export async function checkEvent(api: Api, log: ListedLog, head: Head, index: number): Promise<CheckedEvent> {
  const document = await api.json<Event>(`/${log.name}/v1/events/${index}`)
  const [checked] = await checkEntries(head, [{ index, entry: document.entry }])
  const { entry } = checked!
  const inTree: Step = {
    title: 'Its bytes are in the tree',
    // The head has steps of its own.
    state: checked!.state === 'failed' ? 'failed' : checked!.proof === undefined ? 'unverified' : 'verified',
    detail: detailOf(checked!, head),
  }
  const described = entry === undefined ? [] : [checkDocument(document, checked!, entry)]
  const evidence = entry === undefined ? { steps: [] } : await checkEvidence(api, log, head, checked!, document)
  const redaction = entry === undefined ? undefined : await checkRedaction(api, log, head, index, document)
  const gone = redaction === undefined ? [] : [redaction]
  return {
    ...{ checked: checked!, document, ...evidence },
    ...(redaction && { redaction }),
    steps: [inTree, ...described, ...head.steps, ...evidence.steps, ...gone],
  }
}

const detailOf = ({ proof, state, why, bytes }: CheckedEntry, { size }: Head): string =>
  state === 'failed' || proof === undefined
    ? why
    : `SHA-256 of its ${many(bytes!.length, 'byte')} leads over ${many(proof.length, 'hash', 'hashes')} to the root of the head of ${size} entries.`

/** What the server says of an entry beside its bytes, and that this page shows nowhere else. */
function checkDocument(document: Event, { leaf, index }: CheckedEntry, entry: Entry): Step {
  const title = 'The server describes it as it is'
  const event = entry.kind === EVENT ? entry : undefined
  const artifacts = event?.artifacts.map(
    ({ role, algorithm, digest }) => `${ROLE_NAMES[role]} ${algorithm}:${toHex(digest)}`,
  )
  const differs = [
    document.index !== index && 'index',
    document.kind !== KIND_NAMES[entry.kind] && 'kind',
    document.time !== entry.time && 'time',
    document.leafHash !== toHex(leaf!) && 'leaf hash',
    document.addendum !== toHex(entry.addendum) && 'digest of the document',
    event !== undefined && document.type !== event.type && 'type',
    event !== undefined && String(document.keys) !== String(event.keys.map(toHex)) && 'signers',
    artifacts !== undefined &&
      String(document.artifacts?.map(({ role, algorithm, digest }) => `${role} ${algorithm}:${digest}`)) !==
        String(artifacts) &&
      'artifacts',
  ].filter((part) => part !== false)
  return differs.length === 0
    ? { title, state: 'verified', detail: 'Index, time, type, signers and artifacts are those of the bytes.' }
    : {
        title,
        state: 'failed',
        detail: `It says something else than the bytes: ${differs.join(', ')}. Below are the bytes.`,
      }
}

type EvidenceSteps = Pick<CheckedEvent, 'steps' | 'evidence' | 'file'>
const SIGNED = 'Its document is signed, and was allowed'

async function checkEvidence(
  api: Api,
  log: ListedLog,
  head: Head,
  { bytes, index, entry }: CheckedEntry,
  document: Event,
): Promise<EvidenceSteps> {
  let file: Uint8Array
  try {
    file = await api.bytes(`/${log.name}/v1/evidence/${index}`)
  } catch (error) {
    if (!(error instanceof ApiError)) throw error
    const refused = error.status === 401 || error.status === 403
    const detail = refused
      ? 'Not checked: reading signed documents takes a token with the scope payload.'
      : `Not checked: the server gives no evidence. ${error.message}`
    return { steps: [{ title: SIGNED, state: 'unverified', detail }] }
  }
  try {
    const parsed = parseEvidence(file)
    if (parsed.index !== index || !equal(parsed.entry, bytes!))
      return {
        steps: [
          { title: SIGNED, state: 'failed', detail: 'The evidence that the server gives is about another entry.' },
        ],
      }
    const evidence = verifyEvidence(parsed, head.trust.policy, verifySignature)
    const wrong = log.genesis !== null && log.genesis !== toHex(evidence.genesis)
    if (wrong)
      return {
        steps: [
          {
            title: SIGNED,
            state: 'failed',
            detail: `The evidence leads to the genesis ${toHex(evidence.genesis)}, and the server names ${log.genesis}.`,
          },
        ],
      }
    const missing = evidence.payload === undefined && entry?.kind === EVENT && document.redacted == null
    return {
      steps: [...evidenceSteps(evidence, document), ...(missing ? [missingDocument(log, index)] : [])],
      ...{ evidence, file },
    }
  } catch (error) {
    return { steps: [{ title: SIGNED, state: 'failed', detail: sentenceOf(error) }] }
  }
}

/** What a verified evidence file shows, in the words of the page. */
export function evidenceSteps(evidence: VerifiedEvidence, document?: Pick<Event, 'redacted'>): Step[] {
  const { entry, payload, batch, signers, policy } = evidence
  const fold: Step = {
    title: 'The policy that it stands under is the one in force',
    state: 'verified',
    detail: `Policy ${policy.policy.sequence} at entry ${policy.index}, followed from the genesis, each change signed by enough administrators.`,
  }
  if (entry.kind !== EVENT)
    return [
      { title: 'Its document is signed', state: 'verified', detail: `It is a ${KIND_NAMES[entry.kind]} entry.` },
      fold,
    ]
  if (payload === undefined) {
    const why = document?.redacted ? 'The document is gone' : 'The evidence does not hold the document'
    const still = batch ? ' Its digest is still in the batch that was signed.' : ''
    const detail = `${why}, so its signature cannot be checked here. Key, type and time are allowed by the policy.${still}`
    return [{ title: SIGNED, state: 'unverified', detail }, fold]
  }
  const by = signers.join(', ')
  const signature = batch
    ? `It is item ${batch.position} of ${batch.size} in the batch at ${batch.index}: its path leads to the root under the signature of ${by},`
    : `The signature of ${by} verifies,`
  return [
    {
      title: SIGNED,
      state: 'verified',
      detail: `${signature} the entry says what the document says, and the policy lets ${by} submit this type and these subjects.`,
    },
    fold,
  ]
}
