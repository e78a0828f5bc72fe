/** C2SP tlog-witness over HTTP: the vectors, and one test for each rule of its checklist that is a witness's. */
import { Agent, request } from 'node:http'
import t, { type Test } from 'tap'
import { formatAddCheckpoint, parseAddCheckpoint } from '../../src/core/add-checkpoint.ts'
import { toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { originHash, parseCheckpoint } from '../../src/core/checkpoint.ts'
import { cosignatureVerifier, parseCosignature } from '../../src/core/cosignature.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import { COSIGNATURE_ML_DSA_44, parseNote, parseSignatureLine, verifyNote } from '../../src/core/note.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { loadCosigner } from '../../witness/cosigner.ts'
import { openState } from '../../witness/folder.ts'
import { temporaryFolder } from '../support/server.ts'
import keys from '../vectors/c2sp-keys.json' with { type: 'json' }
import vectors from '../vectors/c2sp-tlog-witness.json' with { type: 'json' }
import { add, makeVectorFolder, send, startWitness, type TestWitness, VECTOR_TIME } from './harness.ts'
import { TwoFacedLog } from './two-faced-log.ts'

const LOG = vectors.setup.log_vkey
const ORIGIN = vectors.setup.origin
const W1 = cosignatureVerifier(parseVkey(vectors.setup.witness_ed25519_vkey))
const HASH = vectors.monitoring.origin_hash_hex
interface Step {
  readonly id: string
  readonly request_body: string
  readonly expect_status: number | string
  readonly expect_body?: string
  readonly witness_size_after: number | null
  readonly why: string
}
const steps: readonly Step[] = vectors.add_checkpoint_sequence
const step = (id: string): string => steps.find((one) => one.id === id)!.request_body

async function witnessOf(
  t: Test,
  vkeys: readonly (string | readonly string[])[],
  options: { mlDsa?: boolean; name?: string } = {},
): Promise<TestWitness & { data: string }> {
  const data = temporaryFolder(t)
  makeVectorFolder(data, options)
  const witness = await startWitness(data, vkeys)
  t.teardown(() => witness.close())
  return { ...witness, data }
}

/** A witness of a log with 5 entries, and the log. */
async function following(t: Test): Promise<{ witness: TestWitness; log: TwoFacedLog }> {
  const log = new TwoFacedLog('log.example/two-faced')
  for (let i = 0; i < 5; i++) log.append(`entry ${i}`)
  const witness = await witnessOf(t, [log.vkey])
  t.equal((await add(witness.url, log.request(0))).status, 200)
  return { witness, log }
}

async function replay(t: Test, restarting: boolean): Promise<void> {
  const data = temporaryFolder(t)
  makeVectorFolder(data)
  let witness = await startWitness(data, [LOG])
  for (const { id, request_body, expect_status, expect_body, witness_size_after, why } of steps) {
    const answer = await add(witness.url, request_body)
    // A note with two lines of one key is no note here: the choice between the two answers that the vector allows.
    if (id === 'vTW-18') t.equal(answer.status, 400, why)
    else t.equal(answer.status, expect_status, `${id} ${why}`)
    if (expect_body !== undefined) t.equal(answer.body, expect_body, id)
    if (restarting) {
      await witness.close()
      witness = await startWitness(data, [LOG])
    }
    const stored = witness.state.cosigned(ORIGIN)
    t.equal(stored?.size, witness_size_after === null ? undefined : BigInt(witness_size_after), `${id} stored size`)
    const monitored = await send(witness.url, `/${HASH}/checkpoint`)
    if (stored === undefined) t.equal(monitored.status, 404)
    else verifyNote(parseNote(toUtf8(monitored.body)), [ed25519NoteVerifier(parseVkey(LOG)), W1])
  }
  await witness.close()
}

t.test('the 20 steps of the vectors give their exact answers', (t) => replay(t, false))
t.test('the 20 steps of the vectors give their exact answers with a restart after each', (t) => replay(t, true))

t.test('TW-1 a body that is not framed as the specification says is 400, and only POST is taken', async (t) => {
  const { url, state } = await witnessOf(t, [LOG])
  for (const { id, request_body, expect_status, why } of vectors.add_checkpoint_malformed) {
    const answer = await add(url, request_body)
    t.equal(answer.status, expect_status, `${id} ${why}`)
  }
  t.equal(state.cosigned(ORIGIN), undefined)
  for (const method of ['GET', 'PUT', 'DELETE']) t.equal((await send(url, '/add-checkpoint', { method })).status, 404)
  t.equal((await send(url, '/add%2Dcheckpoint', { method: 'POST', body: step('vTW-5') })).status, 404)
  const headers = { 'content-type': 'application/octet-stream' }
  t.equal((await send(url, '/add-checkpoint', { method: 'POST', headers, body: step('vTW-5') })).status, 200)
})

t.test('TW-2 an old line that is not exactly "old" and a decimal size is 400', async (t) => {
  const { url } = await witnessOf(t, [LOG])
  const rest = step('vTW-5').slice('old 0'.length)
  for (const line of [
    'old 00',
    'old',
    'old  0',
    'old\t0',
    ' old 0',
    'OLD 0',
    'old 0x0',
    'old 1e0',
    `old ${2n ** 64n}`,
  ]) {
    t.equal((await add(url, line + rest)).status, 400, JSON.stringify(line))
  }
  t.equal((await add(url, `old 0${rest}`)).status, 200)
})

t.test('TW-3 more than 63 lines of proof are 400, and 63 are judged as a proof', async (t) => {
  const { url } = await witnessOf(t, [LOG])
  const body = (lines: number) =>
    step('vTW-5').replace('old 0\n', `old 0\n${`${toBase64(new Uint8Array(32))}\n`.repeat(lines)}`)
  t.equal((await add(url, body(64))).status, 400)
  t.equal((await add(url, body(63))).status, 422)
})

t.test('TW-4 an origin that is not configured is 404, before its signatures are looked at', async (t) => {
  const { url, state } = await witnessOf(t, [LOG])
  t.equal((await add(url, step('vTW-1'))).status, 404)
  t.equal((await add(url, 'old 0\n\nunknown.example/log\nno note at all')).status, 404)
  t.equal(state.cosigned('unknown.example/log'), undefined)
})

t.test('TW-5 signatures of unknown keys are ignored, and without a known one the answer is 403', async (t) => {
  const { url } = await witnessOf(t, [LOG])
  const stranger = `— ${keys.keys.stranger.name} ${toBase64(new Uint8Array(68).fill(1))}\n`
  const alone = step('vTW-5').replace(/— .*\n$/, stranger)
  t.equal((await add(url, alone)).status, 403)
  t.equal((await add(url, step('vTW-5') + stranger)).status, 200)
})

t.test('TW-6 a failing line of a configured key is 403 although another one verifies', async (t) => {
  const next = keys.keys['log-next']
  const blob = Buffer.concat([Buffer.from(next.key_id_hex, 'hex'), Buffer.alloc(64, 1)])
  const failing = `${step('vTW-5')}— ${next.name} ${toBase64(blob)}\n`
  const both = await witnessOf(t, [[LOG, next.vkey]])
  t.equal((await add(both.url, failing)).status, 403)
  t.equal((await add(both.url, step('vTW-5'))).status, 200)
  const one = await witnessOf(t, [LOG])
  t.equal((await add(one.url, failing)).status, 200, 'ignored where that key is not configured')
})

t.test('TW-7 an old size above the size is 400, before it is compared with the stored one', async (t) => {
  const { witness, log } = await following(t)
  const old = (size: bigint) => formatAddCheckpoint({ ...parseAddCheckpoint(log.request(5)), old: size })
  t.equal((await add(witness.url, old(6n))).status, 400)
  t.equal((await add(witness.url, old(4n))).status, 409)
})

t.test('TW-8 another old size than the stored one is 409 with the stored size', async (t) => {
  const { witness, log } = await following(t)
  log.append('entry 5')
  for (const from of [0, 3, 6]) {
    const answer = await add(witness.url, log.request(from))
    t.equal(answer.status, 409)
    t.equal(answer.body, '5\n')
    t.equal(answer.headers['content-type'], 'text/x.tlog.size')
  }
  const fresh = new TwoFacedLog('log.example/two-faced')
  fresh.append('a')
  const empty = await witnessOf(t, [fresh.vkey])
  t.equal((await add(empty.url, fresh.request(1))).body, '0\n', 'nothing stored is size 0')
})

t.test('TW-9 size 0 with another root than that of the empty tree is 422', async (t) => {
  const { url } = await witnessOf(t, [LOG])
  t.equal((await add(url, step('vTW-2'))).status, 422)
  t.equal((await add(url, step('vTW-3'))).status, 200)
})

t.test('TW-10 a proof from size 0 that is not empty is 422', async (t) => {
  const { url } = await witnessOf(t, [LOG])
  t.equal((await add(url, step('vTW-4'))).status, 422)
  t.equal((await add(url, step('vTW-5'))).status, 200)
})

t.test('TW-11 a proof that fails is 422: each hash, one too many, one too few', async (t) => {
  const { witness, log } = await following(t)
  for (let i = 5; i < 13; i++) log.append(`entry ${i}`)
  const { old, proof, note } = parseAddCheckpoint(log.request(5))
  t.ok(proof.length > 2)
  const bad = [
    ...proof.map((hash, i) =>
      proof.with(
        i,
        hash.map((byte, j) => (j === 7 ? byte ^ 1 : byte)),
      ),
    ),
    [...proof, proof[0]!],
    proof.slice(1),
    proof.slice(0, -1),
    [],
    proof.toReversed(),
  ]
  for (const other of bad)
    t.equal((await add(witness.url, formatAddCheckpoint({ old, proof: other, note }))).status, 422)
  t.equal((await add(witness.url, log.request(5))).status, 200)
})

t.test('TW-12 another root at the stored size is 422, and both notes are kept in the log of the witness', async (t) => {
  const { witness, log } = await following(t)
  const other = new TwoFacedLog(log.origin)
  for (let i = 0; i < 5; i++) other.append(`other ${i}`)
  t.equal((await add(witness.url, other.request(5))).status, 422)
  const line = witness.logged.find(({ message }) => message === 'a log signed two roots of one size')
  const { notes } = line!.line as { notes: [string, string] }
  const [ours, theirs] = notes
  for (const note of notes) verifyNote(parseNote(toUtf8(note)), [ed25519NoteVerifier(parseVkey(log.vkey))])
  t.not(parseNote(toUtf8(ours)).text, parseNote(toUtf8(theirs)).text)
  t.equal((await add(witness.url, log.request(5))).status, 200)
  t.equal((await add(witness.url, other.request(0))).status, 409)
  t.match(
    (await send(witness.url, '/metrics')).body,
    /^treeline_witness_contradictions_total 2$/m,
    'also with a stale old size',
  )
})

t.test('TW-13 the answer is lines of cosignatures over the checkpoint that was sent', async (t) => {
  const { url, data } = await witnessOf(t, [LOG], { mlDsa: true })
  const answer = await add(url, step('vTW-5'))
  t.equal(answer.headers['content-type'], 'text/plain; charset=utf-8')
  const { note } = parseAddCheckpoint(toUtf8(step('vTW-5')))
  const verifiers = loadCosigner(data, keys.keys.w1.name).keys.map(cosignatureVerifier)
  const appended = parseNote(Buffer.concat([note, toUtf8(answer.body)]))
  t.equal(verifyNote(appended, [ed25519NoteVerifier(parseVkey(LOG)), ...verifiers]).length, 3)
  const otherText = parseNote(parseAddCheckpoint(toUtf8(step('vTW-9'))).note).text
  for (const line of answer.body.trimEnd().split('\n')) {
    const { keyId, signature } = parseSignatureLine(line)
    const verifier = verifiers.find(({ key }) => toBase64(key.keyId) === toBase64(keyId))!
    t.notOk(verifier.verify(otherText, signature), 'and over no other')
  }
})

t.test('TW-14 a cosignature covers the whole tree and has a time', async (t) => {
  const { url, data } = await witnessOf(t, [LOG], { mlDsa: true })
  const lines = (await add(url, step('vTW-5'))).body.trimEnd().split('\n').map(parseSignatureLine)
  const cosigner = loadCosigner(data, keys.keys.w1.name)
  t.same(
    lines.map(({ signature }, i) => parseCosignature(cosigner.keys[i]!.type, signature).timestamp),
    [BigInt(VECTOR_TIME), BigInt(VECTOR_TIME)],
  )
  // The verifier of the core puts 0 and the size into the message, so a subtree's signature would fail.
  const { text } = parseNote(parseAddCheckpoint(toUtf8(step('vTW-5'))).note)
  for (const [i, { signature }] of lines.entries()) t.ok(cosignatureVerifier(cosigner.keys[i]!).verify(text, signature))
  t.throws(() => cosigner.cosign(text, 0, false), RangeError, 'time 0 would state less')
})

t.test('TW-15 what was answered is stored: nothing leaves when it cannot be', async (t) => {
  const log = new TwoFacedLog('log.example/two-faced')
  log.append('entry 0')
  const data = temporaryFolder(t)
  makeVectorFolder(data)
  const fault = { on: true }
  const witness = await startWitness(data, [log.vkey], {
    wrap: (store) => ({
      advance(origin, step) {
        if (!fault.on) return store.advance(origin, step)
        // The transaction is undone after the signature was made, as when COMMIT fails.
        return store.advance(origin, (stored) => {
          step(stored)
          throw Object.assign(new Error('disk full'), { fault: true })
        })
      },
    }),
  })
  t.teardown(() => witness.close())
  const answer = await add(witness.url, log.request(0))
  t.equal(answer.status, 500)
  t.notMatch(answer.body, '—')
  t.equal(witness.state.cosigned(log.origin), undefined)
  fault.on = false
  t.equal((await add(witness.url, log.request(0))).status, 200)
  const reader = openState(data)
  t.teardown(() => reader.close())
  t.equal(reader.cosigned(log.origin)?.size, 1n, 'in the file')
})

t.test('TW-17 a refused checkpoint is not cosigned, stored or served', async (t) => {
  const { witness, log } = await following(t)
  const before = witness.state.cosigned(log.origin)
  const path = `/${originHash(log.origin)}/checkpoint`
  const served = (await send(witness.url, path)).body
  const other = new TwoFacedLog(log.origin)
  for (let i = 0; i < 9; i++) other.append(`other ${i}`)
  for (const body of [other.request(5), other.request(0), other.request(5, 5)]) {
    const answer = await add(witness.url, body)
    t.ok(answer.status >= 400)
    t.notMatch(answer.body, '—')
  }
  t.same(witness.state.cosigned(log.origin), before)
  t.equal((await send(witness.url, path)).body, served)
})

t.test('TW-18 a connection is kept for the next request', async (t) => {
  const { url } = await witnessOf(t, [LOG])
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  t.teardown(() => agent.destroy())
  const once = (body: string) =>
    new Promise<{ status: number; reused: boolean }>((resolve, reject) => {
      const outgoing = request(`${url}/add-checkpoint`, { method: 'POST', agent }, (answer) => {
        answer.resume()
        answer.on('end', () => resolve({ status: answer.statusCode!, reused: outgoing.reusedSocket }))
      })
      outgoing.on('error', reject)
      outgoing.end(body)
    })
  t.same(await once(step('vTW-5')), { status: 200, reused: false })
  t.same(await once(step('vTW-6')), { status: 409, reused: true }, 'also after a refusal')
  t.same(await once('nonsense'), { status: 400, reused: true })
  t.same(await once(step('vTW-7')), { status: 200, reused: true })
})

t.test('TW-19 a witness with an ML-DSA-44 key cosigns with it too', async (t) => {
  const { url, data } = await witnessOf(t, [LOG], { mlDsa: true, name: keys.keys.w3.name })
  const [, line = ''] = (await add(url, step('vTW-5'))).body.trimEnd().split('\n')
  const { text } = parseNote(parseAddCheckpoint(toUtf8(step('vTW-5'))).note)
  const verifier = cosignatureVerifier(parseVkey(keys.keys.w3.vkey))
  const { signature } = parseSignatureLine(line)
  t.ok(
    verifier.verify(text, signature),
    'under the key of the vectors, by an implementation other than the one that signed',
  )
  t.notOk(verifier.verify(text, signature.with(100, signature[100]! ^ 1)))
  t.equal(loadCosigner(data, keys.keys.w3.name).keys[1]?.type, COSIGNATURE_ML_DSA_44)
})

t.test('TW-19 a log that signs with ML-DSA-44 alone is cosigned', async (t) => {
  const { log_vkey, request_body, expect_status } = vectors.torchwood_mldsa_add_checkpoint
  const { url } = await witnessOf(t, [log_vkey], { mlDsa: true })
  const flipped = request_body.replace(/(A{6})/, 'AAAAAB')
  t.not(flipped, request_body)
  t.equal((await add(url, flipped)).status, 403)
  const withLine = request_body.replace(/\n\n—/, '\nextension of a stranger\n\n—')
  t.equal((await add(url, withLine)).status, 403, 'nobody of the log signed the extension line')
  t.equal((await add(url, request_body)).status, expect_status)
})

t.test('TW-22 the monitoring copy carries the verified lines of the log and our own, and no other', async (t) => {
  const { url, data } = await witnessOf(t, [LOG], { mlDsa: true })
  for (const id of ['vTW-5', 'vTW-9']) await add(url, step(id))
  const answer = await add(url, step('vTW-19'))
  t.equal(answer.status, 200)
  const monitored = await send(url, `/${HASH}/checkpoint`)
  t.equal(monitored.headers['content-type'], 'text/plain; charset=utf-8')
  const note = parseNote(toUtf8(monitored.body))
  const verifiers = loadCosigner(data, keys.keys.w1.name).keys.map(cosignatureVerifier)
  t.equal(verifyNote(note, [ed25519NoteVerifier(parseVkey(LOG)), ...verifiers]).length, 3)
  t.equal(note.signatures.length, 3, 'without the stranger and without the line forged under our name')
  t.equal(parseCheckpoint(note.text).size, 13n)
  t.ok(monitored.body.endsWith(answer.body))
})

t.test('TW-23 the monitoring copy of an origin that was never cosigned is 404', async (t) => {
  const { url } = await witnessOf(t, [LOG])
  t.equal((await send(url, `/${HASH}/checkpoint`)).status, 404)
  await add(url, step('vTW-2'))
  t.equal((await send(url, `/${HASH}/checkpoint`)).status, 404)
  t.equal((await send(url, `/${HASH}/audited`)).status, 404)
  await add(url, step('vTW-5'))
  t.equal((await send(url, `/${HASH}/checkpoint`)).status, 200)
  t.equal((await send(url, `/${HASH.toUpperCase()}/checkpoint`)).status, 404)
  t.equal((await send(url, `/%66${HASH.slice(1)}/checkpoint`)).status, 404)
})

t.test('TW-24 the monitoring copy is the head of the answer before', async (t) => {
  const { witness, log } = await following(t)
  for (let size = 6; size < 12; size++) {
    log.append(`entry ${size}`)
    await add(witness.url, log.request(size - 1))
    const { body, headers } = await send(witness.url, `/${originHash(log.origin)}/checkpoint`)
    t.equal(parseCheckpoint(parseNote(toUtf8(body)).text).size, BigInt(size))
    t.equal(headers['cache-control'], 'no-store')
  }
})

t.test('TW-25 the same size and root is cosigned again with a new time', async (t) => {
  const { witness, log } = await following(t)
  const first = await add(witness.url, log.request(5))
  witness.clock.now += 60_000
  const second = await add(witness.url, log.request(5))
  t.equal(second.status, 200)
  t.not(second.body, first.body)
  t.ok((await send(witness.url, `/${originHash(log.origin)}/checkpoint`)).body.endsWith(second.body))
})

t.test('extension lines are covered by Ed25519, and not signed by ML-DSA', async (t) => {
  const { request_body, cosig_if_accepted_ed25519 } = vectors.add_checkpoint_extension
  const { url } = await witnessOf(t, [LOG], { mlDsa: true })
  const answer = await add(url, request_body)
  t.equal(answer.status, 200)
  t.equal(answer.body, cosig_if_accepted_ed25519, 'one line')
  t.match((await send(url, `/${HASH}/checkpoint`)).body, /\next one\n\n/)
  t.equal((await add(url, step('vTW-7'))).body.split('\n').length, 3, 'without them both sign')
})

t.test("litewitness's conversation", async (t) => {
  const { log_vkey, steps } = vectors.litewitness_sequence
  const { url } = await witnessOf(t, [log_vkey])
  for (const one of steps as readonly (Record<string, unknown> & { request_body: string; expect_status: number })[]) {
    const answer = await add(url, one.request_body)
    t.equal(answer.status, one.expect_status_strict_base64 ?? one.expect_status)
    if (one.expect_body !== undefined) t.equal(answer.body, one.expect_body)
  }
})

t.test('a body above 128 KiB is refused, one below is judged', async (t) => {
  const { url } = await witnessOf(t, [LOG])
  t.equal((await add(url, Buffer.alloc(128 * 1024 + 1, 0x61))).status, 413)
  t.equal((await add(url, Buffer.alloc(128 * 1024, 0x61))).status, 400)
  const headers = { 'content-encoding': 'gzip' }
  t.equal((await send(url, '/add-checkpoint', { method: 'POST', headers, body: step('vTW-5') })).status, 415)
})
