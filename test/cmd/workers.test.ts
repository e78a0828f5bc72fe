/** A server whose threads share the work, as its clients see it: no difference, whichever thread they meet. */
import { once } from 'node:events'
import { Agent, request } from 'node:http'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import t, { type Test } from 'tap'
import { parseBatchReceipt, parseReceipt } from '../../src/client/receipts.ts'
import { BATCH_BODY } from '../../src/core/batch.ts'
import { fromBase64, toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { parseEnvelope } from '../../src/core/dsse.ts'
import { parseEvidence, verifyEvidence } from '../../src/core/evidence.ts'
import { leafHash, verifyInclusion } from '../../src/core/merkle.ts'
import { parseNote } from '../../src/core/note.ts'
import { verifyBatchReceipt, verifyReceipt } from '../../src/core/receipt.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { isServedHere } from '../../src/http/front.ts'
import { nativeVerify } from '../../src/log/native-verify.ts'
import { Actor, event, redactionRequest, signedPolicy } from '../support/actors.ts'
import { bodyOf, type SignedBatch, signedBatch, statements } from '../support/batch.ts'
import { ask, exchange, json, post } from '../support/http.ts'
import { runProgram, startProgram } from '../support/programs.ts'
import { makeEventLog, makeRawLog, ORIGIN, temporaryFolder } from '../support/server.ts'

const administrator = new Actor()
const signers = Array.from({ length: 4 }, () => new Actor())
const SERVE = [
  '--listen',
  '127.0.0.1:0',
  '--workers',
  '2',
  '--publish-interval',
  '20',
  '--log-level',
  'warn',
  '--max-connections',
  '1024',
]

async function serve(t: Test, data: string, program = 'cmd/treeline-server.ts', flags: readonly string[] = []) {
  const child = startProgram(t, program, ['serve', '--data', data, ...SERVE, ...flags])
  const closed = once(child, 'close') as Promise<[number | null]>
  const errors: string[] = []
  createInterface({ input: child.stderr! }).on('line', (line) => errors.push(line))
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => resolve(/listens on (http\S+)/.exec(line)![1]!))
    void closed.then(([code]) => reject(new Error(`the server ended with ${code}: ${errors.join('\n')}`)))
  })
  const stop = async () => {
    child.kill('SIGTERM')
    return (await closed)[0]
  }
  return { url, process: child, errors, stop }
}

async function folder(t: Test) {
  const data = temporaryFolder(t)
  const log = await makeEventLog(
    data,
    [administrator],
    signers.map((actor) => ({ actor })),
  )
  await makeRawLog(data)
  return { data, ...log, trust: parseWitnessPolicy(toUtf8(`log ${log.vkey}\nquorum none\n`)) }
}

/** The published checkpoint, once it is of this size for every thread. */
async function published(url: string, size: number) {
  for (let same = 0; ; ) {
    const { body, status } = await ask(url, '/test/checkpoint')
    const checkpoint = status === 200 ? parseCheckpoint(parseNote(new Uint8Array(body)).text) : undefined
    same = checkpoint?.size === BigInt(size) ? same + 1 : 0
    if (same === 6) return checkpoint!
    await sleep(10)
  }
}

/** Suspends the first signer; returns the status. */
async function suspendFirst(url: string, document: Record<string, unknown>): Promise<number> {
  const { index, sha256 } = json(await ask(url, '/test/v1/policy'))
  const suspended = { since: 1, compromisedSince: null }
  const changed = {
    ...document,
    ...{ sequence: 1, previous: { index, sha256 } },
    signers: (document.signers as object[]).map((one, i) => (i === 0 ? { ...one, suspended } : one)),
  }
  return (await post(url, '/test/v1/policy', signedPolicy(changed, [administrator]))).status
}

t.test('what a thread serves by itself, and what it passes on', (t) => {
  const here = (method: string, url: string) => isServedHere({ method, url })
  for (const path of ['checkpoint', 'tile/0/000', 'tile/entries/x001/000.p/3', 'addenda/aa/bb/aabb', 'v1/events/7'])
    t.ok(here('GET', `/a-log/${path}`), path)
  for (const path of ['v1/evidence/7', 'v1/proofs/inclusion?index=1', 'v1/proofs/consistency?from=1&to=2'])
    t.ok(here('GET', `/a/${path}`), path)
  t.ok(here('POST', '/a/add'))
  t.ok(here('POST', '/a/v1/events?wait=witnessed'))
  t.ok(here('POST', '/a/v1/events/batch'))
  for (const [method, path] of [
    ['GET', '/'],
    ['GET', '/metrics'],
    ['GET', '/a/v1/events'],
    ['GET', '/a/v1/events/7/8'],
    ['GET', '/a/v1/stream'],
    ['GET', '/a/tile/0/%30%30%30'],
    ['GET', '/a/v1/policy'],
    ['HEAD', '/a/checkpoint'],
    ['PUT', '/a/add'],
    ['POST', '/a/v1/policy'],
    ['POST', '/a/v1/redactions'],
  ] as const)
    t.notOk(here(method, path), `${method} ${path}`)
  t.end()
})

t.test('one log, whichever thread is asked', async (t) => {
  const { data, trust, document } = await folder(t)
  const server = await serve(t, data)
  const { url } = server
  t.teardown(() => server.process.kill('SIGKILL'))

  // Each request on a connection of its own, so that both threads get some of everything.
  const texts = Array.from({ length: 60 }, (_, i) => event(signers[i % 4]!, `model ${i}`))
  const answers = await Promise.all([...texts, ...texts].map((text) => post(url, '/test/v1/events', text)))
  const indexes = new Map<string, number>()
  answers.forEach((answer, i) => {
    const text = texts[i % texts.length]!
    const receipt = parseReceipt(json(answer))
    verifyReceipt(receipt, parseEnvelope(toUtf8(text)), trust)
    const { index } = receipt
    if ((indexes.get(text) ?? index) !== index) t.fail(`event ${i} is at ${index} and elsewhere`)
    indexes.set(text, index)
  })
  const statuses = answers.map(({ status }) => status).sort()
  t.same(statuses, [...Array(60).fill(200), ...Array(60).fill(201)], 'each of two that came at once is told the same')
  t.equal(new Set(indexes.values()).size, 60)
  const lines = await post(url, '/test/v1/events/batch', [texts[0], '{', texts[1]].join('\n'), 'application/x-ndjson')
  t.same(
    lines.body
      .toString()
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).status),
    [200, 400, 200],
  )
  const raw = await Promise.all(Array.from({ length: 20 }, (_, i) => post(url, '/raw/add', `entry ${i}`)))
  t.same(
    raw.map(({ body }) => Number(body)).sort((a, b) => a - b),
    Array.from({ length: 20 }, (_, i) => i),
  )

  const size = 61
  const { root } = await published(url, size)
  for (const index of [0, 7, 60]) {
    for (let i = 0; i < 4; i++) {
      const { entry, leafHash: leaf } = json(await ask(url, `/test/v1/events/${index}`))
      const byLeaf = json(await ask(url, `/test/v1/proofs/inclusion?leaf=${leaf}&size=${size}`))
      t.equal(byLeaf.index, index)
      const hashes = byLeaf.hashes.map((hash: string) => fromBase64(hash)!)
      t.ok(verifyInclusion(BigInt(index), BigInt(size), leafHash(fromBase64(entry)!), hashes, root))
    }
  }
  const evidence = await Promise.all([1, 30, 60, 60].map((index) => ask(url, `/test/v1/evidence/${index}`)))
  for (const { body } of evidence) verifyEvidence(parseEvidence(new Uint8Array(body)), trust, nativeVerify)

  // What is passed on is answered as by a server of one thread.
  for (const [path, status] of [
    ['/v1/logs', 200],
    ['/readyz', 200],
    ['/docs/', 200],
    ['/openapi.json', 200],
    ['/test/v1/policy', 200],
    ['/test/v1/witnesses', 200],
    [`/test/v1/events?signer=${signers[0]!.key.id}`, 200],
    ['/nothing', 404],
    ['/none/checkpoint', 404],
    ['/raw/v1/events/1', 404],
    ['/test/tile/0/%30%30%30', 404],
  ] as const)
    t.equal((await exchange(url, path)).status, status, path)
  t.equal((await exchange(url, '/test/checkpoint', { method: 'PUT' })).status, 405)
  t.equal((await post(url, '/test/v1/events', '{"payload":1}')).status, 400)

  const metrics = (await ask(url, '/metrics')).body.toString()
  const counted = [...metrics.matchAll(/http_requests_total\{.*route="\/:log\/v1\/events".*\} (\d+)/g)]
  t.ok(
    counted.reduce((sum, [, count]) => sum + Number(count), 0) >= 121,
    'requests of all threads are counted, also those that another one passed on',
  )
  t.match(metrics, /treeline_log_size\{log="test"\} 61/)
  t.match(metrics, /treeline_rejected_total\{.*code="MALFORMED_ENVELOPE".*\} 2/)

  // A change is in force for every thread when it has been answered, and what was known stays known.
  t.equal(await suspendFirst(url, document), 201)
  const refused = await Promise.all(
    Array.from({ length: 8 }, (_, i) => post(url, '/test/v1/events', event(signers[0]!, `late ${i}`))),
  )
  t.ok(refused.every((answer) => answer.status === 403 && json(answer).code === 'KEY_SUSPENDED'))
  const known = await Promise.all(Array.from({ length: 8 }, () => post(url, '/test/v1/events', texts[0]!)))
  t.ok(known.every((answer) => answer.status === 200 && json(answer).index === indexes.get(texts[0]!)))
  const others = await Promise.all(
    Array.from({ length: 8 }, (_, i) => post(url, '/test/v1/events', event(signers[1]!, `late ${i}`))),
  )
  t.ok(others.every(({ status }) => status === 201))

  const index = indexes.get(texts[5]!)!
  const { leafHash: leaf } = json(await ask(url, `/test/v1/events/${index}`))
  const erased = await post(
    url,
    '/test/v1/redactions',
    redactionRequest(ORIGIN, [{ index, leafHash: leaf }], [administrator]),
  )
  t.match(json(erased), { indexes: [index], erased: true })
  const gone = await Promise.all(Array.from({ length: 6 }, () => ask(url, `/test/v1/events/${index}`)))
  t.ok(gone.every((answer) => json(answer).envelope === null && json(answer).redacted !== null))
  const again = await Promise.all(Array.from({ length: 6 }, () => post(url, '/test/v1/events', texts[5]!)))
  t.ok(again.every(({ status }) => status === 410))

  const taken = await folder(t)
  const second = await runProgram(t, 'cmd/treeline-server.ts', [
    ...['serve', '--data', taken.data, '--workers', '2', '--listen', new URL(url).host],
  ])
  t.equal(second.code, 2, 'a port that threads share is not shared with another server')
  t.match(second.errors, /EADDRINUSE/)
  t.equal(await server.stop(), 0)
  t.same(server.errors, [])
})

t.test('signed batches, whichever thread takes them', async (t) => {
  const { data, trust, document } = await folder(t)
  const server = await serve(t, data)
  const { url } = server
  t.teardown(() => server.process.kill('SIGKILL'))
  const send = (body: Uint8Array) => post(url, '/test/v1/events/batch', body, BATCH_BODY)

  // So many that headers stand at indexes of one, two and three bytes, and threads guess those of others.
  const batches = Array.from({ length: 100 }, (_, i) =>
    signedBatch(ORIGIN, statements(1 + (i % 7), `${i}-`), [signers[i % 4]!]),
  )
  const answers = await Promise.all([...batches, ...batches].map(({ body }) => send(body)))
  const receipts = answers.map((answer) => parseBatchReceipt(json(answer)))
  const indexes = new Map<SignedBatch, number>()
  receipts.forEach((receipt, i) => {
    const batch = batches[i % batches.length]!
    verifyBatchReceipt(receipt, parseEnvelope(toUtf8(batch.header)), trust)
    if ((indexes.get(batch) ?? receipt.index) !== receipt.index)
      t.fail(`batch ${i} is at ${receipt.index} and elsewhere`)
    indexes.set(batch, receipt.index)
  })
  const statuses = answers.map(({ status }) => status).sort()
  t.same(statuses, [...Array(100).fill(200), ...Array(100).fill(201)], 'each of two that came at once is told the same')
  const size = 1 + batches.reduce((sum, { addenda }) => sum + 1 + addenda.length, 0)
  await published(url, size)
  for (const batch of [batches[0]!, batches[6]!, batches[99]!]) {
    const index = indexes.get(batch)!
    const { body } = await ask(url, `/test/v1/evidence/${index + batch.addenda.length}`)
    const found = verifyEvidence(parseEvidence(new Uint8Array(body)), trust, nativeVerify)
    t.match(found.batch, { index, size: batch.addenda.length, position: batch.addenda.length - 1 })
  }

  // What is refused says which item it is about, and nothing of it is there.
  const { header, addenda } = signedBatch(ORIGIN, statements(3, 'refused'), [signers[0]!])
  const swapped = [addenda[1]!, addenda[0]!, addenda[2]!]
  t.match(json(await send(bodyOf(header, swapped))), { status: 403, code: 'BAD_SIGNATURE' })
  const nonsense = signedBatch(ORIGIN, [...statements(2, 'good'), '{"a":'], [signers[0]!]).body
  t.match(json(await send(nonsense)), { status: 400, code: 'MALFORMED_PAYLOAD', detail: /item 2/ })
  t.match(json(await send(bodyOf(header, addenda.slice(0, 2)))), { status: 400, code: 'MALFORMED_ENVELOPE' })
  const elsewhere = signedBatch('log.example/other', statements(1), [signers[0]!]).body
  t.match(json(await send(elsewhere)), { status: 403, code: 'WRONG_ORIGIN' })
  t.match(json(await send(signedBatch(ORIGIN, statements(1), [new Actor()]).body)), { code: 'UNKNOWN_KEY' })

  t.equal(await suspendFirst(url, document), 201)
  const late = Array.from({ length: 8 }, (_, i) => signedBatch(ORIGIN, statements(2, `late ${i}`), [signers[i % 2]!]))
  const verdicts = await Promise.all(late.map(({ body }) => send(body)))
  t.same(
    verdicts.map(({ status }) => status),
    late.map((_, i) => (i % 2 === 0 ? 403 : 201)),
  )
  const known = await Promise.all(Array.from({ length: 8 }, () => send(batches[0]!.body)))
  t.ok(known.every((answer) => answer.status === 200 && json(answer).index === indexes.get(batches[0]!)))

  t.equal(await server.stop(), 0)
  t.same(server.errors, [])
  const checked = await runProgram(t, 'cmd/treeline-server.ts', ['check', '--data', data])
  t.equal(checked.code, 0, checked.errors)
})

t.test('a thread that ends is replaced, and what was answered stays true', async (t) => {
  const { data } = await folder(t)
  const server = await serve(t, data, 'test/support/mortal-server.ts')
  const agent = new Agent({ keepAlive: true, maxSockets: 32 })
  const acknowledged = new Map<number, string>()
  let cut = 0
  let stopping = false
  const add = (body: string) =>
    new Promise<void>((resolve) => {
      const outgoing = request(`${server.url}/raw/add`, { method: 'POST', agent }, (answer) => {
        let text = ''
        answer.on('data', (part) => {
          text += part
        })
        answer.on('end', () => {
          if (answer.statusCode === 200) acknowledged.set(Number(text), body)
          else t.fail(`an answer of ${answer.statusCode}`)
          resolve()
        })
        answer.on('error', () => resolve())
      })
      outgoing.on('error', () => {
        cut++
        resolve()
      })
      outgoing.end(body)
    })
  const writers = Array.from({ length: 32 }, async (_, name) => {
    for (let i = 0; !stopping; i++) await add(`writer ${name} entry ${i}`)
  })
  for (let death = 0; death < 3; death++) {
    const before = acknowledged.size
    while (acknowledged.size < before + 200) await sleep(5)
    server.process.kill('SIGUSR2')
    while (server.errors.filter((line) => /another takes its place/.test(line)).length <= death) await sleep(5)
  }
  const before = acknowledged.size
  while (acknowledged.size < before + 200) await sleep(5)
  // Nobody is told no, and nothing is cut, when it stops as it should.
  const cutBefore = cut
  stopping = true
  const code = await server.stop()
  await Promise.all(writers)
  agent.destroy()
  t.equal(code, 0)
  t.ok(cutBefore > 0, `${cutBefore} connections ended with a thread`)
  t.equal((await runProgram(t, 'cmd/treeline-server.ts', ['check', '--data', data])).code, 0)

  const next = await serve(t, data)
  const [, { size }] = json(await ask(next.url, '/v1/logs')).sort((a: { name: string }) => (a.name === 'raw' ? 1 : -1))
  const entries: string[] = []
  for (let tile = 0; tile * 256 < size; tile++) {
    const width = Math.min(256, size - tile * 256)
    const path = `/raw/tile/entries/${String(tile).padStart(3, '0')}${width < 256 ? `.p/${width}` : ''}`
    const { body } = await ask(next.url, path)
    for (let at = 0; at < body.length; ) {
      const length = body.readUInt16BE(at)
      entries.push(body.subarray(at + 2, at + 2 + length).toString())
      at += 2 + length
    }
  }
  t.same(
    [...acknowledged].filter(([index, body]) => entries[index] !== body),
    [],
  )
  t.equal(await next.stop(), 0)
})
