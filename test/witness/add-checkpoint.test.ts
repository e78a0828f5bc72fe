/** The conversation of C2SP tlog-witness over HTTP: published vectors, then what they leave out. */
import t from 'tap'
import { parseAddCheckpoint } from '../../src/core/add-checkpoint.ts'
import { fromHex, toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { cosignatureVerifier } from '../../src/core/cosignature.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import { parseNote, parseSignatureLine, verifyNote } from '../../src/core/note.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { WitnessState } from '../../witness/state.ts'
import keys from '../vectors/c2sp-keys.json' with { type: 'json' }
import vectors from '../vectors/c2sp-tlog-witness.json' with { type: 'json' }
import { startWitness, type TestWitness } from './server.ts'

const { setup, monitoring } = vectors
const W1 = keys.keys.w1
const NOW = 1000 * setup.witness_clock
const steps = vectors.add_checkpoint_sequence
const step = (id: string): string => steps.find((one) => one.id === id)!.request_body
const start = (t: { teardown(f: () => unknown): unknown }, mlDsa = false): Promise<TestWitness> =>
  startWitness(t, { name: W1.name, seed: W1.seed_hex, logs: [[setup.log_vkey]], now: NOW, mlDsa })
const sizeOf = (witness: TestWitness) => witness.state.cosigned(setup.origin)?.size

/** Brings a witness to the size that it has after a step. */
async function advance(witness: TestWitness, last: string): Promise<void> {
  for (const { id, request_body } of steps.slice(0, steps.findIndex((one) => one.id === last) + 1)) {
    if (id !== 'vTW-18') await (await witness.add(request_body)).text()
  }
}

for (const restarts of [false, true]) {
  t.test(
    `TW-8 the conversation of the vectors, step by step${restarts ? ', with a restart before each' : ''}`,
    async (t) => {
      const witness = await start(t)
      for (const one of steps) {
        if (restarts) await witness.restart()
        const answer = await witness.add(one.request_body)
        const body = await answer.text()
        // Of the two readings of a line that stands twice ours is that the note is malformed.
        const expected = one.id === 'vTW-18' ? 400 : one.expect_status
        t.equal(answer.status, expected, `${one.id} ${one.why}`)
        if (one.expect_body !== undefined) t.equal(body, one.expect_body, one.id)
        if (one.expect_content_type !== undefined) t.equal(answer.headers.get('content-type'), one.expect_content_type)
        t.equal(sizeOf(witness), one.witness_size_after === null ? undefined : BigInt(one.witness_size_after), one.id)
      }
      t.same(witness.failures, [])
    },
  )
}

t.test('TW-1 what is not framed as it must be is 400, and changes nothing', async (t) => {
  const witness = await start(t)
  await advance(witness, 'vTW-5')
  for (const { id, request_body, expect_status, why } of vectors.add_checkpoint_malformed) {
    const answer = await witness.add(request_body)
    t.equal(answer.status, expect_status, `${id} ${why}`)
    t.equal(sizeOf(witness), 5n)
  }
  t.equal((await witness.add('x'.repeat(200_000))).status, 413)
  t.equal((await witness.get('/add-checkpoint')).status, 404, 'it is a POST')
})

t.test('TW-4 a log that is not configured is 404, whatever else is wrong', async (t) => {
  const witness = await start(t)
  t.equal((await witness.add('old 0\n\nunknown.example/log\nnonsense')).status, 404)
})

t.test('TW-5 signatures of unknown keys count for nothing, and do no harm', async (t) => {
  const witness = await start(t)
  const unknown = `— stranger.example ${Buffer.alloc(68).toString('base64')}\n`
  const bare = step('vTW-5').replace(/\n— .*\n$/, `\n${unknown}`)
  t.equal((await witness.add(bare)).status, 403, 'none of a trusted key')
  t.equal((await witness.add(step('vTW-5') + unknown)).status, 200)
})

t.test('TW-6 a line of a trusted key that fails is 403, also beside one that verifies', async (t) => {
  const next = keys.keys['log-next']
  const forged = `— ${next.name} ${Buffer.concat([fromHex(next.key_id_hex)!, Buffer.alloc(64)]).toString('base64')}\n`
  const both = await startWitness(t, { name: W1.name, logs: [[setup.log_vkey, next.vkey]], now: NOW })
  t.equal((await both.add(step('vTW-5') + forged)).status, 403)
  t.equal((await both.add(step('vTW-5'))).status, 200)
  const one = await start(t)
  t.equal((await one.add(step('vTW-5') + forged)).status, 200, 'of a key that is not trusted it is ignored')
})

t.test('TW-7 TW-9 TW-10 TW-11 TW-12 sizes and proofs that cannot be are refused, and the size stays', async (t) => {
  for (const [name, last, id, status] of [
    ['TW-7 old above size', 'vTW-10', 'vTW-15', 400],
    ['TW-9 size 0 with another root', 'vTW-1', 'vTW-2', 422],
    ['TW-10 a proof from 0', 'vTW-3', 'vTW-4', 422],
    ['TW-11 no proof', 'vTW-10', 'vTW-12', 422],
    ['TW-11 a hash too many', 'vTW-10', 'vTW-13', 422],
    ['TW-12 the same size with another root', 'vTW-7', 'vTW-8', 422],
  ] as const) {
    const witness = await start(t)
    await advance(witness, last)
    const before = sizeOf(witness)
    t.equal((await witness.add(step(id))).status, status, name)
    t.equal(sizeOf(witness), before)
  }
})

t.test('TW-13 TW-14 the answer is cosignatures of the whole tree by own keys, at a time', async (t) => {
  const witness = await start(t, true)
  await advance(witness, 'vTW-4')
  const body = step('vTW-5')
  const answer = await witness.add(body)
  t.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8')
  const lines = (await answer.text()).split('\n').slice(0, -1).map(parseSignatureLine)
  const { text } = parseNote(parseAddCheckpoint(toUtf8(body)).note)
  t.equal(lines.length, 2, 'Ed25519, and ML-DSA beside it')
  for (const [i, key] of witness.cosigner.keys.entries()) {
    t.ok(cosignatureVerifier(key).verify(text, lines[i]!.signature), `type ${key.type}`)
    t.equal(Buffer.from(lines[i]!.signature).readBigUInt64BE(0), BigInt(setup.witness_clock))
    const flipped = new Uint8Array(lines[i]!.signature)
    flipped[9]! ^= 1
    t.notOk(cosignatureVerifier(key).verify(text, flipped))
  }
})

t.test('TW-15 what was answered is there after a restart', async (t) => {
  const witness = await start(t)
  await advance(witness, 'vTW-9')
  await witness.restart()
  t.equal(sizeOf(witness), 8n)
  t.equal((await witness.add(step('vTW-9'))).status, 409)
})

t.test('TW-16 of two that start from one size and say different things, one is cosigned', async (t) => {
  const witness = await start(t)
  await advance(witness, 'vTW-3')
  for (let round = 0; round < 20; round++) {
    // 0 → 5 and 0 → 8 at once: both are right by themselves.
    const eight = step('vTW-6')
    const statuses = await Promise.all([step('vTW-5'), eight].map(async (one) => (await witness.add(one)).status))
    if (round === 0) t.same(statuses.sort(), [200, 409])
    else t.same(statuses, [409, 409])
  }
  // Two writers on one file: what the second one read is no longer so, and it must not overwrite.
  const other = WitnessState.open(`${witness.data}/witness.db`)
  t.teardown(() => other.close())
  const before = witness.state.cosigned(setup.origin)!
  t.throws(
    () => witness.state.advance(setup.origin, { size: 99, subtrees: new Uint8Array(0), memory: '' }),
    /audited to 99/,
  )
  other.advance(setup.origin, { size: 4, subtrees: new Uint8Array(96), memory: '' })
  t.throws(
    () => witness.state.advance(setup.origin, { size: 3, subtrees: new Uint8Array(64), memory: '' }),
    /went back/,
  )
  t.same(other.cosigned(setup.origin), before)
})

t.test('TW-17 a checkpoint that fails a check is not cosigned, however often it comes', async (t) => {
  const witness = await start(t)
  await advance(witness, 'vTW-9')
  for (const id of ['vTW-11', 'vTW-13', 'vTW-14', 'vTW-16', 'vTW-17']) {
    for (let i = 0; i < 3; i++) t.not((await witness.add(step(id))).status, 200, id)
  }
  t.equal(sizeOf(witness), 8n)
})

t.test('TW-18 connections are kept open', async (t) => {
  const witness = await start(t)
  const answer = await witness.add(step('vTW-3'))
  t.match(answer.headers.get('keep-alive'), /timeout=65/)
})

t.test('TW-19 a log that signs with ML-DSA-44 is cosigned', async (t) => {
  const { log_vkey, request_body, expect_status } = vectors.torchwood_mldsa_add_checkpoint
  const witness = await startWitness(t, { name: W1.name, logs: [[log_vkey]], now: NOW })
  t.equal((await witness.add(request_body)).status, expect_status)
})

t.test('TW-21 subtrees are not signed here: the route is not there', async (t) => {
  const witness = await start(t)
  const answer = await fetch(`${witness.url}/sign-subtree`, { method: 'POST', body: 'subtree 0 1\n' })
  t.equal(answer.status, 404)
})

t.test(
  'TW-22 TW-24 everybody can read what was cosigned, at once: the log’s line that verified and ours, no other',
  async (t) => {
    const witness = await start(t)
    await advance(witness, 'vTW-19')
    const answer = await witness.get(monitoring.monitoring_path_example)
    t.equal(answer.headers.get('content-type'), 'text/plain; charset=utf-8')
    const note = parseNote(toUtf8(await answer.text()))
    t.equal(parseCheckpoint(note.text).size, 13n)
    const verifiers = [ed25519NoteVerifier(parseVkey(setup.log_vkey)), cosignatureVerifier(parseVkey(W1.vkey))]
    t.equal(verifyNote(note, verifiers).length, 2)
    t.equal(note.signatures.length, 2, 'neither the stranger’s line nor the one that was forged in our name')
  },
)

t.test('TW-23 a log of which nothing was cosigned is 404 there', async (t) => {
  const witness = await start(t)
  t.equal((await witness.get(monitoring.monitoring_path_example)).status, 404)
  t.equal((await witness.get(`/${'0'.repeat(64)}/checkpoint`)).status, 404)
})

t.test('TW-25 the same checkpoint again is cosigned with a new time, never an earlier one', async (t) => {
  const witness = await start(t)
  await advance(witness, 'vTW-5')
  const timeOf = async (answer: Response) =>
    Buffer.from(parseSignatureLine((await answer.text()).trimEnd()).signature).readBigUInt64BE(0)
  witness.clock.now += 60_000
  t.equal(await timeOf(await witness.add(step('vTW-7'))), BigInt(setup.witness_clock + 60))
  witness.clock.now -= 3_000
  t.equal(await timeOf(await witness.add(step('vTW-7'))), BigInt(setup.witness_clock + 60), 'a clock that hesitates')
  witness.clock.now -= 60_000
  const refused = await witness.add(step('vTW-7'))
  t.equal(refused.status, 503, 'a clock that was set back')
  t.match(await refused.text(), /clock/)
  t.equal(sizeOf(witness), 5n)
})

t.test('extension lines are covered by Ed25519, and get no ML-DSA line', async (t) => {
  const { request_body, cosig_if_accepted_ed25519 } = vectors.add_checkpoint_extension
  const witness = await start(t, true)
  const answer = await witness.add(request_body)
  t.equal(await answer.text(), cosig_if_accepted_ed25519)
})

t.test('the conversation of another implementation', async (t) => {
  const { log_vkey, steps } = vectors.litewitness_sequence
  const witness = await startWitness(t, { name: W1.name, logs: [[log_vkey]], now: NOW })
  for (const one of steps as readonly {
    request_body: string
    expect_status: number
    expect_status_strict_base64?: number
    expect_body?: string
    why?: string
  }[]) {
    const answer = await witness.add(one.request_body)
    t.equal(
      answer.status,
      one.expect_status_strict_base64 ?? one.expect_status,
      one.why ?? one.request_body.slice(0, 8),
    )
    if (one.expect_body) t.equal(await answer.text(), one.expect_body)
  }
})

t.test('a frozen log gets no cosignature until a person has cleared it, and keeps its size', async (t) => {
  const witness = await start(t)
  await advance(witness, 'vTW-5')
  witness.state.open({ origin: setup.origin, kind: 'fork', opened: NOW, why: 'two histories', evidence: 'evidence' })
  const answer = await witness.add(step('vTW-9'))
  t.equal(answer.status, 503)
  t.ok(answer.headers.get('retry-after'))
  t.match(await answer.text(), /frozen: two histories/)
  t.equal((await witness.get('/readyz')).status, 503)
  const hash = monitoring.origin_hash_hex
  t.same(await (await witness.get(`/${hash}/faults`)).json(), { origin: setup.origin, faults: ['evidence'] })
  t.equal(witness.state.clear(setup.origin, NOW), 1)
  t.equal(sizeOf(witness), 5n)
  t.equal((await witness.add(step('vTW-9'))).status, 200)
  t.same(await (await witness.get(`/${hash}/audited`)).json(), { origin: setup.origin, cosigned: 8, audited: 0 })
  const metrics = await (await witness.get('/metrics')).text()
  t.match(metrics, /treeline_witness_cosigned_size\{origin="log.example\/mltrail"\} 8/)
  t.match(metrics, /treeline_witness_add_checkpoint_total\{status="200"\} 3/)
})

t.test('a state that cannot be written answers 503, and no signature leaves', async (t) => {
  const witness = await start(t)
  await advance(witness, 'vTW-5')
  witness.state.close()
  const answer = await witness.add(step('vTW-9'))
  t.equal(answer.status, 503)
  t.notMatch(await answer.text(), /—/)
  t.equal(witness.failures.length, 1)
  await witness.restart().catch(() => {})
})
