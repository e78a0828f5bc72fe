import t from 'tap'
import { HttpSource } from '../../src/client/http-source.ts'
import { listEvents, requireSame } from '../../src/client/listing.ts'
import { parseQuery, type QueryTexts, queryParameters } from '../../src/client/query.ts'
import { VerifiedLog } from '../../src/client/scan.ts'
import { search } from '../../src/client/search.ts'
import { Transport } from '../../src/client/transport.ts'
import { envelope, redactionRequest, statement } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { ORIGIN } from '../support/server.ts'
import { administrator, digestOf, lyingLog, signers } from './liar.ts'

const PRIVATE = 'urn:treeline:t2:v1'
const one = await lyingLog(t, 270, { private: [PRIVATE], produces: ['https://example.com/made/*'] })
const [transport, lied] = [one.honest, one.url].map((url) => new Transport({ url, patience: 0 })) as [
  Transport,
  Transport,
]
t.teardown(() => Promise.all([transport.close(), lied.close()]))

const IN_TOTO = 'application/vnd.in-toto+json'
const many = Array.from({ length: 100 }, (_, i) => ({ name: `file ${i}`, digest: { sha256: digestOf(10_000 + i) } }))
const other = (name: string, type: string, more: object) =>
  envelope(IN_TOTO, { ...statement(name, { note: `Zoë said "${name}"` }, type), ...more }, [signers[0]!])
await one.submit([
  other('many', 'https://example.com/made/v1', { subject: many }),
  other('examined', 'https://example.com/seen/v1', { subject: many }),
  envelope(
    IN_TOTO,
    {
      ...statement('signed', {}, 'https://model_signing/signature/v1.0'),
      subject: [{ name: 'signed', digest: { sha256: digestOf(20_000) } }],
      predicate: { resources: [{ name: 'weights', algorithm: 'sha256', digest: digestOf(20_001) }] },
    },
    [signers[1]!],
  ),
  other('gone', PRIVATE, { subject: [{ name: 'gone', digest: { sha512: `${digestOf(77)}${digestOf(77)}` } }] }),
])
const MANIFEST = 273
const GONE = 274
const { leafHash } = json(await ask(one.server.url, `/test/v1/events/${GONE}`))
const request = redactionRequest(ORIGIN, [{ index: GONE, leafHash }], [administrator])
await post(one.server.url, '/test/v1/redactions', request)
await one.submit([])
const trusted = { trust: one.trust, origin: ORIGIN }
const log = await VerifiedLog.open(new HttpSource(transport), trusted)

/** What the server answers, once its index has all. */
async function listedBy(texts: QueryTexts) {
  for (;;) {
    const listing = await listEvents(transport, parseQuery(texts))
    if (listing.completeTo === log.size) return listing
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}

const found = (...texts: QueryTexts[]) => foundIn(log, texts)
async function foundIn(where: VerifiedLog, texts: QueryTexts[]): Promise<{ sure: number[]; unsure: number[] }> {
  const [sure, unsure]: [number[], number[]] = [[], []]
  for await (const { index, sure: certain } of search(where, texts.map(parseQuery)))
    (certain ? sure : unsure).push(index)
  return { sure, unsure }
}

/** What a program that knows nothing of ours finds in the documents of the API, and in the payloads of then. */
interface Known {
  readonly index: number
  readonly kind: string
  readonly time: number
  readonly keys: readonly string[]
  readonly type: string | null
  readonly envelope: { readonly payload: string } | null
}
const documents: Known[] = []
for (let from: number | null = 0; from !== null; ) {
  const page = json(await ask(one.server.url, `/test/v1/events?from=${from}&limit=1000`))
  documents.push(...page.events)
  from = page.next
}

function bruteForce(
  wanted: (known: Known, named: [role: string, algorithm: string, hex: string][]) => boolean,
): number[] {
  return documents
    .filter((known) => {
      if (known.kind !== 'event' || known.envelope === null) return wanted(known, [])
      const { subject, predicate, predicateType } = JSON.parse(Buffer.from(known.envelope.payload, 'base64').toString())
      const role = /^(urn:treeline:|https:\/\/example.com\/made\/)/.test(predicateType) ? 'produced' : 'examined'
      const digests = (as: string, list: { digest: Record<string, string> }[] = []) =>
        list.flatMap(({ digest }) =>
          Object.entries(digest).map(([name, hex]) => [as, name, hex] as [string, string, string]),
        )
      return wanted(known, [...digests(role, subject), ...digests('consumed', predicate.consumed)])
    })
    .map(({ index }) => index)
}

t.test('a search finds what brute force finds, also where artifacts stand only in the payload', async (t) => {
  const [first, second] = signers.map(({ key }) => key.id)
  const middle = documents[200]!.time
  const names = (hex: string, role?: string, algorithm?: string) => (_: Known, named: string[][]) =>
    named.some(([as, alg, digest]) => digest === hex && (role ?? as) === as && (algorithm ?? alg) === alg)
  const cases: [QueryTexts, number[]][] = [
    [{}, documents.map(({ index }) => index)],
    [{ signer: first }, bruteForce(({ keys }) => keys.includes(first!))],
    [{ signer: digestOf(5) }, []],
    [{ type: 'urn:treeline:t1:v1' }, bruteForce(({ type }) => type === 'urn:treeline:t1:v1')],
    [{ type: 'urn:treeline:t*' }, bruteForce(({ type }) => type?.startsWith('urn:treeline:t') ?? false)],
    [{ type: 'urn:treeline:t' }, []],
    [{ type: '*' }, bruteForce(({ type }) => type !== null)],
    [{ signer: second, type: PRIVATE }, bruteForce(({ keys, type }) => keys.includes(second!) && type === PRIVATE)],
    ...[2, 270].flatMap((i): [QueryTexts, number[]][] => [
      [{ artifact: digestOf(i) }, bruteForce(names(digestOf(i)))],
      [{ artifact: `sha256:${digestOf(i)}`, role: 'produced' }, bruteForce(names(digestOf(i), 'produced', 'sha256'))],
      [{ artifact: digestOf(i), role: 'consumed' }, bruteForce(names(digestOf(i), 'consumed'))],
      [{ artifact: `sha512:${digestOf(i)}` }, []],
    ]),
    ...[10_000, 10_064].flatMap((i): [QueryTexts, number[]][] => [
      [{ artifact: digestOf(i) }, [271, 272]],
      [{ artifact: digestOf(i), role: 'produced' }, [271]],
      [{ artifact: digestOf(i), role: 'examined' }, [272]],
    ]),
    [{ artifact: digestOf(20_000), role: 'examined' }, [MANIFEST]],
    [{ artifact: digestOf(20_001) }, [MANIFEST]],
    [{ artifact: digestOf(20_001), role: 'file' }, [MANIFEST]],
    [{ artifact: digestOf(20_001), role: 'examined' }, []],
    [{ artifact: `sha512:${digestOf(20_001)}` }, []],
    [{ role: 'examined' }, [272, MANIFEST]],
    [{ kind: 'redaction' }, [275]],
    [{ kind: 'genesis' }, [0]],
    [{ since: `${middle}` }, bruteForce(({ time }) => time >= middle)],
    [
      { until: new Date(middle).toISOString(), kind: 'event' },
      bruteForce(({ time, kind }) => time < middle && kind === 'event'),
    ],
    [{ text: 'STEP 25' }, [25, ...Array.from({ length: 10 }, (_, i) => 250 + i)]],
    [{ text: 'zoë SAID "many"' }, [271]],
    [{ text: 'zoë said', type: 'https://example.com/*' }, [271, 272]],
  ]
  for (const [texts, expected] of cases) {
    t.same((await found(texts)).sure, expected, JSON.stringify(texts))
    // The server looks for words, and finds none in the middle of one.
    if (texts.text !== undefined) continue
    const listed = await listedBy(texts)
    t.same(
      listed.events.map(({ index }) => index),
      expected,
      `the server finds the same: ${JSON.stringify(texts)}`,
    )
  }
  t.same(
    (await found({ artifact: digestOf(1) }, { kind: 'genesis' }, { artifact: digestOf(10_070) })).sure,
    [0, 1, 2, 271, 272],
  )
})

t.test('what stood in a payload that is gone is said to be uncertain', async (t) => {
  const sha512 = `${digestOf(77)}${digestOf(77)}`
  t.same(await found({ artifact: sha512 }), { sure: [], unsure: [GONE] })
  t.same(await found({ artifact: sha512, type: 'urn:treeline:t1*' }), { sure: [], unsure: [] })
  t.same(await found({ type: PRIVATE, artifact: digestOf(2) }), { sure: [2], unsure: [GONE] })
  t.ok((await found({ type: PRIVATE })).sure.includes(GONE), 'its type is certain')
})

t.test('a policy that is not served, and a document that is changed, are no answer', async (t) => {
  const behind = await VerifiedLog.open(new HttpSource(lied), trusted)
  one.liar.lie = (path, body) => (path.includes('/addenda/') ? Buffer.concat([body, Buffer.of(1)]) : undefined)
  await t.rejects(foundIn(behind, [{ artifact: digestOf(2) }]), { code: 'INVALID_PROOF', message: /document of entry/ })
  const { addendum } = json(await ask(one.server.url, '/test/v1/events/0'))
  one.liar.lie = (path) => (path.endsWith(addendum) ? null : undefined)
  await t.rejects(foundIn(behind, [{ artifact: digestOf(2) }]), { code: 'UNVERIFIABLE', message: /policy at 0/ })
  one.liar.lie = undefined
})

t.test('filters are strict, and have one spelling for the server', (t) => {
  for (const texts of [
    { signer: 'ab' },
    { signer: digestOf(1).toUpperCase().replace('0', 'G') },
    { type: 'a*b' },
    { type: '' },
    { artifact: 'sha256:' },
    { artifact: ':ab' },
    { artifact: 'xyz' },
    { role: 'made' },
    { kind: 'events' },
    { since: 'yesterday' },
    { until: '1.5' },
    { text: '' },
  ] as QueryTexts[])
    t.throws(() => parseQuery(texts), { code: 'USAGE' }, JSON.stringify(texts))
  const texts = { signer: digestOf(1), type: 'a*', artifact: 'sha256:AB', role: 'consumed', kind: 'event' }
  t.equal(
    queryParameters(parseQuery({ ...texts, since: '1970-01-01T00:00:01Z', until: '2000', text: 'x y' })).toString(),
    `signer=${digestOf(1)}&type=a*&artifact=sha256%3Aab&role=consumed&kind=event&since=1000&until=2000&text=x+y`,
  )
  t.equal(queryParameters(parseQuery({ artifact: 'ab', kind: 'genesis' })).toString(), 'artifact=ab&kind=genesis')
  t.end()
})

t.test('an answer of the server is held against what was found', async (t) => {
  const query = parseQuery({ artifact: digestOf(10) })
  const known = { found: [10, 11], unsure: [30], size: 276 }
  const cases: [what: string, pages: object[], why: RegExp | undefined][] = [
    ['all', [{ events: [10, 11], next: null }], undefined],
    [
      'all, on two pages',
      [
        { events: [10], next: 11 },
        { events: [11], next: null },
      ],
      undefined,
    ],
    [
      'all, after a page without any',
      [
        { events: [], next: 10 },
        { events: [10, 11], next: null },
      ],
      undefined,
    ],
    [
      'all, by a server that is short of time',
      [
        { events: [], next: 0 },
        { events: [10, 11], next: null },
      ],
      undefined,
    ],
    ['what may match', [{ events: [10, 11, 30], next: null }], undefined],
    ['what is newer than the scan', [{ events: [10, 11, 276], next: null }], undefined],
    ['what its index has', [{ events: [10], next: null, completeTo: 11 }], undefined],
    ['one too few', [{ events: [10], next: null }], /leaves out 11$/],
    ['none', [{ events: [], next: null }], /leaves out 10, 11$/],
    ['one that its index has not', [{ events: [], next: null, completeTo: 11 }], /leaves out 10$/],
    ['one too many', [{ events: [10, 11, 12], next: null }], /lists 12, which does not match/],
    ['others', [{ events: [9, 12], next: null }], /leaves out 10, 11, and lists 9, 12, which do not match/],
    ['out of order', [{ events: [11, 10], next: null }], /entry 10 is listed out of order/],
    ['one twice', [{ events: [10, 10], next: null }], /out of order/],
    ['for ever', new Array(30).fill({ events: [], next: 0 }), /the same again/],
    ['backwards', [{ events: [10], next: 3 }], /one before/],
    ['no list', [{ events: null, next: null }], /not a list/],
    ['no index', [{ events: ['x'], next: null }], /index is not an index/],
    ['no end', [{ events: [10, 11], next: null, completeTo: null }], /completeTo is not an index/],
  ]
  for (const [what, pages, why] of cases) {
    let page = 0
    one.liar.lie = (path) => {
      if (!path.startsWith('/test/v1/events?artifact=')) return undefined
      const { events, ...rest } = { completeTo: 276, events: null as unknown, ...pages[page++] }
      const list = Array.isArray(events) ? events.map((index) => ({ index })) : events
      return JSON.stringify({ events: list, ...rest })
    }
    const compared = listEvents(lied, query).then((listing) => requireSame(listing, known))
    if (why === undefined) await t.resolves(compared, what)
    else await t.rejects(compared, { code: 'INVALID_PROOF', message: why }, what)
  }
  one.liar.lie = undefined
})
