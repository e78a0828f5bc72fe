/** Made by generate.ts from the schemas beside it: change those. */

/**
 * The answer to one line of a batch.
 */
export type BatchLine =
  | {
      line: number
      status: 200 | 201
      receipt: Receipt
    }
  | {
      line: number
      status: number
      problem: Problem
    }
/**
 * The logs of a server.
 */
export type LogList = {
  name: string
  origin: string
  profile: 'raw' | 'events'
  /**
   * Verifier key of the log (C2SP signed-note).
   */
  vkey: string
  /**
   * Leaf hash of the first entry of an events log.
   */
  genesis: string | null
  /**
   * Of the committed tree.
   */
  size: number
  /**
   * Size of the published checkpoint.
   */
  published: number | null
  /**
   * Made from a copy after the log was lost: it answers reads, and never signs or takes an entry again.
   */
  restored?: true
  /**
   * The log that this one goes on from, and the largest tree of it that witnesses have cosigned, as the genesis says.
   */
  successorOf?: {
    origin: string
    size: number
    /**
     * 32 bytes in standard base64.
     */
    root: string
  }
}[]
/**
 * The witnesses that a log asks for cosignatures, and what it knows of each: its word, and theirs.
 */
export type WitnessList = {
  name: string
  /**
   * Of its last cosignature.
   */
  size: number
  /**
   * Seconds since it began to fail; 0 while it cosigns.
   */
  late: number
  why: string | null
  /**
   * How many entries it says that it has judged one by one; null when it does not say.
   */
  audited: number | null
}[]

/**
 * The log's answer to what it took: proof that it is in the tree.
 */
export interface Receipt {
  origin: string
  /**
   * An index or a size of the tree, or a count.
   */
  index: number
  /**
   * The entry as it stands in the tree.
   */
  entry: string
  /**
   * 16 bytes that blind the envelope in the digest of the entry; absent where the document is bare (policies, redactions).
   */
  salt?: string
  /**
   * Inclusion proof, the sibling of the leaf first.
   *
   * @maxItems 63
   *
   * Items: 32 bytes in standard base64.
   */
  hashes: string[]
  /**
   * A signed note: the tree that the proof leads to.
   */
  checkpoint: string
  /**
   * Whether the checkpoint carries a full quorum of witnesses.
   */
  witnessed: boolean
}
/**
 * Why something was refused (RFC 9457).
 */
export interface Problem {
  type: string
  title: string
  status: number
  code:
    | 'UNKNOWN_KEY'
    | 'KEY_SUSPENDED'
    | 'KEY_EXPIRED'
    | 'TYPE_NOT_ALLOWED'
    | 'SUBJECT_NOT_ALLOWED'
    | 'WRONG_ORIGIN'
    | 'BAD_SIGNATURE'
    | 'MALFORMED_ENVELOPE'
    | 'MALFORMED_BASE64'
    | 'MALFORMED_PAYLOAD'
    | 'DUPLICATE_JSON_KEY'
    | 'TOO_DEEP'
    | 'UNKNOWN_PARAMETER'
    | 'BODY_TOO_LARGE'
    | 'ENTRY_TOO_LARGE'
    | 'UNSUPPORTED_MEDIA_TYPE'
    | 'UNKNOWN_LOG'
    | 'UNKNOWN_SIZE'
    | 'UNKNOWN_INDEX'
    | 'NOT_FOUND'
    | 'METHOD_NOT_ALLOWED'
    | 'NOT_YET_PUBLISHED'
    | 'REDACTED'
    | 'POLICY_CONFLICT'
    | 'MORE_INDEXES'
    | 'UNAUTHENTICATED'
    | 'FORBIDDEN'
    | 'QUEUE_FULL'
    | 'STORAGE_FAILED'
    | 'CLOCK'
    | 'FROZEN'
    | 'NOT_YET_AUDITED'
    | 'RATE_LIMITED'
  /**
   * What to do.
   */
  detail: string
  /**
   * An index or a size of the tree, or a count.
   */
  index?: number
  /**
   * Items: An index or a size of the tree, or a count.
   */
  indexes?: number[]
  /**
   * An index or a size of the tree, or a count.
   */
  sequence?: number
  /**
   * 32 bytes in lowercase hex: a SHA-256, or the id of a key.
   */
  sha256?: string
}
/**
 * The receipt of the header of a signed batch, and where its items are.
 */
export interface BatchReceipt {
  origin: string
  /**
   * An index or a size of the tree, or a count.
   */
  index: number
  /**
   * The entry as it stands in the tree.
   */
  entry: string
  /**
   * Inclusion proof, the sibling of the leaf first.
   *
   * @maxItems 63
   *
   * Items: 32 bytes in standard base64.
   */
  hashes: string[]
  /**
   * A signed note: the tree that the proof leads to.
   */
  checkpoint: string
  /**
   * Whether the checkpoint carries a full quorum of witnesses.
   */
  witnessed: boolean
  /**
   * Index of the first item: they follow the header.
   */
  first: number
  /**
   * How many items there are.
   */
  size: number
}
/**
 * A DSSE envelope as the log keeps it: the signatures that verified, sorted by key id.
 */
export interface CanonicalEnvelope {
  /**
   * Standard base64, padded, canonical.
   */
  payload: string
  payloadType: string
  /**
   * @minItems 1
   * @maxItems 16
   */
  signatures: {
    /**
     * 32 bytes in lowercase hex: a SHA-256, or the id of a key.
     */
    keyid: string
    /**
     * Standard base64, padded, canonical.
     */
    sig: string
  }[]
}
/**
 * That one tree is a prefix of the other (RFC 6962).
 */
export interface ConsistencyProof {
  /**
   * An index or a size of the tree, or a count.
   */
  from: number
  /**
   * An index or a size of the tree, or a count.
   */
  to: number
  /**
   * @maxItems 64
   *
   * Items: 32 bytes in standard base64.
   */
  hashes: string[]
}
/**
 * A DSSE envelope as the log takes it. Other members are ignored.
 */
export interface Envelope {
  payloadType: string
  /**
   * An in-toto Statement (application/vnd.in-toto+json) or a CloudEvent (application/cloudevents+json).
   */
  payload: string
  /**
   * @minItems 1
   * @maxItems 16
   */
  signatures: {
    /**
     * A hint: the id of the key or an alias of the write policy; may be empty.
     */
    keyid?: string
    /**
     * Ed25519, or ECDSA P-256 with SHA-256 in DER, over the DSSE pre-authentication encoding.
     */
    sig: string
    [k: string]: unknown
  }[]
  [k: string]: unknown
}
/**
 * An entry of an events log, decoded, with its signed document.
 */
export interface Event {
  /**
   * An index or a size of the tree, or a count.
   */
  index: number
  kind: 'genesis' | 'event' | 'policy' | 'redaction' | 'batch'
  /**
   * When the log took it, by its own clock.
   */
  time: number
  /**
   * Ids of the keys whose signatures verified, sorted.
   *
   * Items: 32 bytes in lowercase hex: a SHA-256, or the id of a key.
   */
  keys: string[]
  payloadType: string | null
  /**
   * Predicate type of a Statement, or type of a CloudEvent.
   */
  type: string | null
  /**
   * @maxItems 64
   */
  artifacts: {
    role: 'produced' | 'consumed' | 'examined'
    algorithm: string
    digest: string
  }[]
  /**
   * How many artifacts stand only in the envelope.
   */
  hidden: number
  /**
   * 32 bytes in lowercase hex: a SHA-256, or the id of a key.
   */
  leafHash: string
  /**
   * Standard base64, padded, canonical.
   */
  entry: string
  /**
   * SHA-256 of the signed document: its address below addenda/.
   */
  addendum: string
  envelope: CanonicalEnvelope | null
  /**
   * Of an item of a signed batch: index of the header, which is signed for it, and its place.
   */
  batch?: {
    /**
     * An index or a size of the tree, or a count.
     */
    header: number
    position: number
  }
  /**
   * Of an item of a signed batch, where the envelope of a single event would be; absent without the scope payload, and when it is not there.
   */
  payload?: string
  redacted: {
    /**
     * The redaction entry.
     */
    index: number
    reason: string
  } | null
  /**
   * The signed document is not there although nobody redacted it: the log was restored from a copy that did not have it.
   */
  missing?: true
}
/**
 * A page of events.
 */
export interface EventList {
  /**
   * @maxItems 1000
   */
  events: Event[]
  /**
   * Where to go on; null when there is nothing more below completeTo.
   */
  next: number | null
  /**
   * The list leaves nothing out below this index: with filters, how far the index is.
   */
  completeTo: number
  /**
   * The signed note of that size; with filters, of at least that size.
   */
  checkpoint: string
}
/**
 * The process answers.
 */
export interface Health {
  alive: true
}
/**
 * That the leaf is in the tree of that size (RFC 6962).
 */
export interface InclusionProof {
  /**
   * An index or a size of the tree, or a count.
   */
  index: number
  /**
   * An index or a size of the tree, or a count.
   */
  size: number
  /**
   * 32 bytes in lowercase hex: a SHA-256, or the id of a key.
   */
  leafHash: string
  /**
   * @maxItems 63
   *
   * Items: 32 bytes in standard base64.
   */
  hashes: string[]
}
/**
 * Artifacts, and the events that joined them. A claim of the index: each edge is to be held against the entry that it names.
 */
export interface Lineage {
  /**
   * Where the walk began. Empty for a digest, or a key, that no log knows.
   */
  start: string[]
  direction: 'up' | 'down' | 'both'
  /**
   * An index or a size of the tree, or a count.
   */
  depth: number
  /**
   * Whether a limit of depth, size or time left something out.
   */
  truncated: boolean
  artifacts: {
    id: string
    /**
     * Events between it and the nearest start.
     */
    distance: number
    /**
     * Events that produced it, up to 1,000 of them: two or more contradict each other.
     */
    producers: number
    /**
     * In the payloads of the listed events; only with the scope payload.
     */
    names?: string[]
  }[]
  events: {
    log: string
    /**
     * An index or a size of the tree, or a count.
     */
    index: number
    /**
     * Milliseconds since the Unix epoch.
     */
    time: number
    type: string
    /**
     * Items: 32 bytes in lowercase hex: a SHA-256, or the id of a key.
     */
    keys: string[]
    /**
     * Their names in the last write policy that lists them.
     */
    signers: string[]
    /**
     * Items: A statement that something is wrong with an entry, or that another one took its place. Whoever may write to a readable log may have made it.
     */
    marks: {
      log: string
      /**
       * The statement.
       */
      index: number
      kind: 'quarantine' | 'supersedes'
      /**
       * Empty without the scope payload.
       */
      reason: string
    }[]
    /**
     * An index or a size of the tree, or a count.
     */
    distance: number
  }[]
  edges: {
    log: string
    /**
     * An index or a size of the tree, or a count.
     */
    index: number
    artifact: string
    /**
     * file: the payload lists it in a manifest of the event's subject. What stands only in payloads is shown with the scope payload.
     */
    role: 'produced' | 'consumed' | 'examined' | 'file'
  }[]
  /**
   * Of a key whose events begin at a moment: the one that was asked for, or else compromisedSince.
   */
  since?: number
  /**
   * Of a key: since when write policies in force doubt it, the earliest moment of the logs that were looked at. Absent where none says so.
   */
  compromisedSince?: number
  /**
   * The logs that were looked at: all that the reader may read.
   */
  logs: {
    log: string
    origin: string
    /**
     * The answer leaves out no entry below this index.
     */
    completeTo: number
    /**
     * A signed note of at least that size.
     */
    checkpoint: string
    /**
     * Whether the reader has the scope payload there: without it, what stands only in payloads is left out.
     */
    payload: boolean
  }[]
}
/**
 * The write policy in force.
 */
export interface PolicyAnswer {
  /**
   * Where it stands in the log.
   */
  index: number
  /**
   * Of its signed document: what the next policy names as previous.
   */
  sha256: string
  policy: WritePolicy
  envelope: CanonicalEnvelope
}
/**
 * Who may write to a log, who may redact, and who may change that: the payload of application/vnd.treeline.write-policy.v1+json.
 */
export interface WritePolicy {
  origin: string
  /**
   * 0 in the first policy of a log, then one more each time.
   */
  sequence: number
  /**
   * The policy that this one replaces: its index, and the SHA-256 of its signed document.
   */
  previous: {
    /**
     * An index or a size of the tree, or a count.
     */
    index: number
    /**
     * 32 bytes in lowercase hex: a SHA-256, or the id of a key.
     */
    sha256: string
  } | null
  /**
   * In the first policy of a log that takes the place of another: that log, and the largest tree of it that witnesses have cosigned. In no later one.
   */
  successorOf?: {
    origin: string
    size: number
    /**
     * 32 bytes in standard base64.
     */
    root: string
  }
  /**
   * Verifier keys of the log itself.
   *
   * @minItems 1
   */
  logKeys: string[]
  administrators: {
    threshold: number
    /**
     * @minItems 1
     */
    keys: {
      /**
       * SHA-256 of the SubjectPublicKeyInfo.
       */
      id: string
      /**
       * SubjectPublicKeyInfo of an Ed25519 or P-256 key: DER in standard base64.
       */
      publicKey: string
    }[]
  }
  /**
   * Ids of administrators or signers; null leaves redaction to the administrators.
   */
  redactors?: {
    threshold: number
    /**
     * @minItems 1
     */
    keys: string[]
  } | null
  signers: Signer[]
  /**
   * Predicate types whose subjects count as produced, beyond provenance, links and our own.
   */
  produces?: string[] | null
  /**
   * Predicate types whose artifacts stay in the envelope.
   */
  private?: string[] | null
}
export interface Signer {
  /**
   * SHA-256 of the SubjectPublicKeyInfo.
   */
  id: string
  /**
   * SubjectPublicKeyInfo of an Ed25519 or P-256 key: DER in standard base64.
   */
  publicKey: string
  /**
   * A pseudonym: the log cannot forget it.
   */
  name: string
  /**
   * Other names under which envelopes may give the key.
   */
  keyids?: string[] | null
  /**
   * Predicate or event types that it may submit.
   *
   * Items: Exact, or a prefix that ends in *.
   */
  types: string[]
  /**
   * Names of subjects that it may speak of.
   *
   * Items: Exact, or a prefix that ends in *.
   */
  subjects: string[]
  notBefore?: number | null
  notAfter?: number | null
  /**
   * Whether the key may stand in the policies of other logs of the server.
   */
  shared?: boolean
  suspended?: {
    /**
     * Milliseconds since the Unix epoch.
     */
    since: number
    compromisedSince?: number | null
  } | null
}
/**
 * Whether the logs take entries.
 */
export interface Readiness {
  ready: boolean
  logs: {
    name: string
    ready: boolean
    /**
     * It answers reads and never takes an entry again; the server is ready all the same.
     */
    restored?: true
    code: string | null
    /**
     * What to do.
     */
    why: string | null
    /**
     * Whom the log asks for cosignatures. One that is late does not make it less ready.
     */
    witnesses: {
      name: string
      /**
       * Of its last cosignature.
       */
      size: number
      /**
       * Seconds since it began to fail; 0 while it cosigns.
       */
      late: number
      why: string | null
    }[]
  }[]
}
/**
 * The receipt of a redaction, and whether the payloads are gone.
 */
export interface RedactionAnswer {
  origin: string
  /**
   * An index or a size of the tree, or a count.
   */
  index: number
  /**
   * The entry as it stands in the tree.
   */
  entry: string
  /**
   * Inclusion proof, the sibling of the leaf first.
   *
   * @maxItems 63
   *
   * Items: 32 bytes in standard base64.
   */
  hashes: string[]
  /**
   * A signed note: the tree that the proof leads to.
   */
  checkpoint: string
  /**
   * Whether the checkpoint carries a full quorum of witnesses.
   */
  witnessed: boolean
  /**
   * What the request named.
   *
   * @minItems 1
   * @maxItems 1000
   *
   * Items: An index or a size of the tree, or a count.
   */
  indexes: number[]
  /**
   * Whether no byte of the payloads is left on the disk. If not, send the same request again.
   */
  erased: boolean
}
/**
 * What to erase: the payload of application/vnd.treeline.redaction.v1+json.
 */
export interface RedactionRequest {
  origin: string
  /**
   * Ascending by index.
   *
   * @minItems 1
   * @maxItems 1000
   */
  entries: {
    /**
     * An index or a size of the tree, or a count.
     */
    index: number
    /**
     * That the signer saw the entry.
     */
    leafHash: string
  }[]
  /**
   * A short code, such as personal-data: it stays in the log for ever.
   */
  reason: string
}
/**
 * What `treeline submit` writes: an in-toto Statement v1 about one step of a pipeline.
 */
export interface Statement {
  _type: 'https://in-toto.io/Statement/v1'
  /**
   * What the step produced.
   */
  subject: Resource[]
  predicateType: string
  predicate: {
    /**
     * The log for which the statement is made.
     */
    origin: string
    consumed: Resource[]
    parameters: {
      [k: string]: unknown
    }
    /**
     * RFC 3339.
     */
    startedOn?: string
    /**
     * RFC 3339.
     */
    finishedOn?: string
  }
}
export interface Resource {
  name: string
  digest: {
    /**
     * 32 bytes in lowercase hex: a SHA-256, or the id of a key.
     */
    sha256: string
  }
}
