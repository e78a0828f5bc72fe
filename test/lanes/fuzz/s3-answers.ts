/** The write-once store asks an S3 server whose answers are nearly right: it must believe what is, and refuse the rest in words. */
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { equal, fromUtf8, toUtf8 } from '../../../src/core/bytes.ts'
import { TreelineError } from '../../../src/core/errors.ts'
import { isKey } from '../../../witness/worm/key.ts'
import { S3Store } from '../../../witness/worm/s3.ts'
import type { ObjectVersion, WormStore } from '../../../witness/worm/store.ts'
import { mutate } from './mutate.ts'
import { Random } from './random.ts'
import type { Searched } from './target.ts'

type Asked = 'list' | 'lock' | 'object'

interface Answer {
  readonly status: number
  readonly body: Uint8Array
}

const KEYS = ['a/1', 'a/2', 'b/entries', 'probe/x']
const OBJECT = { key: KEYS[0]!, version: 'v-a/1' }
const BYTES = toUtf8('what was put there once')
const UNTIL = Date.parse('2036-01-02T03:04:05Z')
const XML = '<?xml version="1.0" encoding="UTF-8"?>\n'
/** At once; each has a bucket. */
const STORES = 16
/** Of one request, and of one question with all its tries, ms. */
const TIMEOUT = 500
const LONG = 8_000

const versions = KEYS.map(
  (key) =>
    `<Version><Key>${key}</Key><VersionId>v-${key}</VersionId><IsLatest>true</IsLatest><LastModified>2026-01-02T03:04:05.000Z</LastModified><ETag>&quot;0f&quot;</ETag><Size>${BYTES.length}</Size><StorageClass>STANDARD</StorageClass></Version>`,
)
const marker = `<DeleteMarker><Key>a/3</Key><VersionId>d</VersionId><IsLatest>true</IsLatest></DeleteMarker>`
const error = (code: string): Uint8Array =>
  toUtf8(`${XML}<Error><Code>${code}</Code><Message>no</Message><RequestId>1</RequestId></Error>`)
const refusals = [
  ...['NoSuchKey', 'NoSuchVersion', 'NoSuchObjectLockConfiguration'].map((code) => ({
    status: 404,
    body: error(code),
  })),
  ...['AccessDenied', 'InvalidRequest', 'MethodNotAllowed'].map((code) => ({ status: 403, body: error(code) })),
]
const bomb = `<!DOCTYPE x [<!ENTITY a "${'a'.repeat(64)}">${'bcdefgh'.replace(/./g, (name) => `<!ENTITY ${name} "${`&${String.fromCharCode(name.charCodeAt(0) - 1)};`.repeat(16)}">`)}]>`

/** The first one of each is right. */
const ANSWERS: Readonly<Record<Asked, readonly Answer[]>> = {
  list: [
    ok(
      `${XML}<ListVersionsResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>BUCKET</Name><Prefix></Prefix><KeyMarker></KeyMarker><VersionIdMarker></VersionIdMarker><MaxKeys>1000</MaxKeys><IsTruncated>false</IsTruncated>${versions.join('')}${marker}</ListVersionsResult>`,
    ),
    ok(
      `${XML}<ListVersionsResult><Name>BUCKET</Name><IsTruncated>true</IsTruncated><NextKeyMarker>a/2</NextKeyMarker><NextVersionIdMarker>v-a/2</NextVersionIdMarker>${versions[0]}${versions[1]}</ListVersionsResult>`,
    ),
    ok(`${bomb}<ListVersionsResult><Name>BUCKET</Name><Version><Key>&h;</Key></Version></ListVersionsResult>`),
    ...refusals,
  ],
  lock: [
    ok(
      `${XML}<Retention xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Mode>COMPLIANCE</Mode><RetainUntilDate>2036-01-02T03:04:05.000Z</RetainUntilDate></Retention>`,
    ),
    ok(`<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2036-01-02T03:04:05Z</RetainUntilDate></Retention>`),
    ...refusals,
  ],
  object: [{ status: 200, body: BYTES }, ...refusals],
}

function ok(text: string): Answer {
  return { status: 200, body: toUtf8(text) }
}

/** What is asked of a store, and what is wrong with its answer, if anything. */
type Question = (store: WormStore, served: Readonly<Record<Asked, Answer>>) => Promise<string | undefined>

const QUESTIONS: readonly Question[] = [
  async function list(store) {
    let before = ''
    for await (const { key } of store.list('')) {
      if (!isKey(key)) return `lists what is no key: ${JSON.stringify(key)}`
      if (key < before) return 'lists out of order'
      before = key
    }
    return undefined
  },
  async function lock(store) {
    const { mode, until } = await store.lockOf(OBJECT)
    return typeof mode === 'string' && Number.isFinite(until) ? undefined : 'a lock without an end'
  },
  async function get(store, { object }) {
    return equal(await store.get(OBJECT), object.body) ? undefined : 'reads other bytes than were sent'
  },
  async function put(store, { object }) {
    await store.put(OBJECT.key, BYTES, UNTIL)
    return equal(object.body, BYTES) ? undefined : 'takes other bytes for what was put'
  },
  async function extend(store, { lock }) {
    await store.extend(OBJECT, UNTIL + 1_000)
    // Another answer may well say another time.
    return lock === ANSWERS.lock[0] ? 'takes a lock for longer than it is' : undefined
  },
]

export type OpenStore = (spec: string) => WormStore
const product: OpenStore = (spec) => S3Store.open(spec, { timeout: TIMEOUT })

/** Sixteen questions at once for so long. Sets the environment of the SDK. */
export async function searchS3(seed: number, ms: number, openStore = product): Promise<Searched> {
  const random = new Random(seed, 's3')
  const server = new NearlyS3()
  await server.listen()
  const outcomes = new Set<string>()
  const kept: Record<Asked, Uint8Array[]> = { list: [], lock: [], object: [] }
  const total = { tried: 0, accepted: 0 }
  let found: Searched['found']
  const deadline = performance.now() + ms

  const lane = async (bucket: string): Promise<void> => {
    const store = openStore(`s3://${bucket}`)
    while (found === undefined && performance.now() < deadline) {
      const asked = random.of(['list', 'lock', 'object'] as const)
      const { status, body } = random.of(ANSWERS[asked])
      const from = random.below(3) === 0 && kept[asked].length > 0 ? random.of(kept[asked]) : body
      const changed = { status: random.below(20) === 0 ? 500 : status, body: mutate(from, random, [body]) }
      const served = {
        list: ANSWERS.list[0]!,
        lock: ANSWERS.lock[0]!,
        object: ANSWERS.object[0]!,
        [asked]: changed,
      }
      server.answers.set(bucket, served)
      const question = random.of(QUESTIONS)
      const began = performance.now()
      let outcome = `${question.name} accepted`
      let why: string | undefined
      try {
        why = await question(store, served)
        total.accepted++
      } catch (failure) {
        if (failure instanceof TreelineError) outcome = `${question.name} ${failure.code} ${plainOf(failure)}`
        else why = `throws ${String(failure)}`
      }
      if (performance.now() - began > LONG) why ??= 'takes for ever'
      total.tried++
      if (why !== undefined)
        found = { why: `${question.name}, of ${asked} ${changed.status}: ${why}`, input: changed.body }
      if (outcomes.has(outcome)) continue
      outcomes.add(outcome)
      if (kept[asked].length < 200) kept[asked].push(changed.body)
    }
    await store.close()
  }
  try {
    await Promise.all(Array.from({ length: STORES }, (_, i) => lane(`bucket-${i}`)))
  } finally {
    server.close()
  }
  return { ...total, outcomes: outcomes.size, ...(found && { found }) }
}

const plainOf = ({ message }: Error): string => message.replace(/bucket-[0-9]+|[0-9]+|"[^"]*"/g, '#').slice(0, 60)

class NearlyS3 {
  readonly answers = new Map<string, Readonly<Record<Asked, Answer>>>()
  readonly #server = createServer((request, response) => {
    request.resume()
    const { pathname, searchParams } = new URL(request.url ?? '', 'http://s3')
    const [, bucket = ''] = pathname.split('/')
    const asked = searchParams.has('versions') ? 'list' : searchParams.has('retention') ? 'lock' : 'object'
    if (request.method === 'PUT') response.end()
    else send(response, this.answers.get(bucket)![asked], bucket)
  })

  async listen(): Promise<void> {
    this.#server.listen(0, '127.0.0.1')
    await once(this.#server, 'listening')
    Object.assign(process.env, {
      AWS_ENDPOINT_URL_S3: `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`,
      ...{ AWS_ACCESS_KEY_ID: 'key', AWS_SECRET_ACCESS_KEY: 'secret', AWS_REGION: 'us-east-1' },
      ...{ AWS_EC2_METADATA_DISABLED: 'true', AWS_CONFIG_FILE: '/dev/null', AWS_SHARED_CREDENTIALS_FILE: '/dev/null' },
    })
  }

  close(): void {
    this.#server.closeAllConnections()
    this.#server.close()
  }
}

/** A changed answer may well be another one's length: the header says the true one, since it is not what is searched. */
function send(response: ServerResponse, { status, body }: Answer, bucket: string): void {
  const bytes = Buffer.from(Buffer.from(body).toString('latin1').replace('BUCKET', bucket), 'latin1')
  response.writeHead(status, { 'content-length': bytes.length, 'content-type': 'application/xml' }).end(bytes)
}

/** A reader of listings as one writes it in an hour: what it lists is neither in order nor only keys. */
export const hasty: OpenStore = (spec) => {
  const store = product(spec)
  const url = `${process.env.AWS_ENDPOINT_URL_S3}/${spec.slice('s3://'.length)}?versions`
  return Object.assign(Object.create(store) as WormStore, {
    put: store.put.bind(store),
    get: store.get.bind(store),
    lockOf: store.lockOf.bind(store),
    extend: store.extend.bind(store),
    close: store.close.bind(store),
    async *list(): AsyncIterable<ObjectVersion> {
      const page = new Uint8Array(await (await fetch(url)).arrayBuffer())
      for (const [, key = ''] of (fromUtf8(page) ?? '').matchAll(/<Key>(.*?)<\/Key>/g)) yield { key, version: '' }
    },
  })
}
