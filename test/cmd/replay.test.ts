/** replay, diff and search as people run them: against an honest server, against one that lies, and from a copy with the server gone. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import t from 'tap'
import { formatCheckpoint } from '../../src/core/checkpoint.ts'
import { signNote } from '../../src/core/note.ts'
import { formatBundle, parseBundle } from '../../src/core/tile.ts'
import { logFiles } from '../../src/store/folder.ts'
import { loadLogSigner } from '../../src/store/log-key.ts'
import { administrator, digestOf, eventOf, type Lie, lyingLog, signers } from '../client/liar.ts'
import { redactionRequest, signedPolicy } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { runProgram } from '../support/programs.ts'
import { ORIGIN, temporaryFolder } from '../support/server.ts'
import { admins, copiedLog } from '../witness/copied-log.ts'

const one = await lyingLog(t, 299, { private: ['urn:treeline:t2:v1'] })
const folder = temporaryFolder(t)
const trust = join(folder, 'trust.txt')
writeFileSync(trust, `log ${one.vkey}\nquorum none\n`)

const treeline = (...args: string[]) => runProgram(t, 'cmd/treeline.ts', args)
const flags = (state = 'state') => [
  '--log',
  one.url,
  '--trust',
  trust,
  '--state',
  join(folder, state),
  '--patience',
  '0',
]
const indexes = (output: string): number[] =>
  output
    .split('\n')
    .slice(0, -1)
    .map((line) => (JSON.parse(line) as { index: number }).index)
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i)

t.test('replay prints what is proved, as documents or as a timeline', async (t) => {
  const all = await treeline('replay', ...flags(), '--json')
  t.equal(all.code, 0, all.errors)
  t.same(indexes(all.output), range(0, 300))
  t.match(
    all.errors,
    /verified: 300 of the entries 0 to 300 under the checkpoint of size 300 of log.example\/test, the log alone/,
  )
  const served = json(await ask(one.server.url, '/test/v1/events/7'))
  const { envelope: _, redacted: __, ...same } = served
  const line = JSON.parse(all.output.split('\n')[7]!)
  t.match(line, { ...same, origin: ORIGIN, sure: true })
  t.same(line.signers, [`signer-${signers[1]!.key.id.slice(0, 6)}`])
  t.notOk('envelope' in line)

  const narrow = await treeline('replay', ...flags(), '--artifact', digestOf(100), '--json', '--payloads')
  t.same(indexes(narrow.output), [100, 101])
  t.match(JSON.parse(narrow.output.split('\n')[0]!), { envelope: { payloadType: 'application/vnd.in-toto+json' } })
  const text = await treeline('replay', ...flags(), '--artifact', digestOf(99), '--role', 'produced')
  t.match(
    text.output,
    /^\S{24} +99 {2}event urn:treeline:t0:v1 by signer-\w{6}\n +produced sha256:0+63\n +consumed sha256:0+62\n$/,
  )

  t.same(
    indexes((await treeline('replay', ...flags(), '--json', '--from', '250', '--to', '260')).output),
    range(250, 260),
  )
  const { time } = json(await ask(one.server.url, '/test/v1/events/150'))
  const asOf = indexes((await treeline('replay', ...flags(), '--json', '--to', new Date(time).toISOString())).output)
  const times = JSON.parse(`[${all.output.split('\n').slice(0, -1).join(',')}]`).map(
    (entry: { time: number }) => entry.time,
  )
  t.same(
    asOf,
    range(
      0,
      times.findIndex((one: number) => one >= time),
    ),
  )
})

t.test('what the caller gets wrong ends with 2', async (t) => {
  for (const args of [
    ['replay', ...flags(), '--payloads'],
    ['replay', ...flags(), '--to', '301'],
    // Two policies of one log: which quorum counts would be a matter of their order.
    ['replay', ...flags(), '--trust', trust],
    ['replay', '--trust', trust, '--from-worm', join(folder, 'nowhere'), '--vkey', trust],
  ])
    t.equal((await treeline(...args)).code, 2, args.join(' '))
})

const edit =
  (name: string, change: (entries: Uint8Array[]) => Uint8Array[]): Lie =>
  (path, body) =>
    path.includes(`/tile/entries/${name}`) ? formatBundle(change(parseBundle(new Uint8Array(body)))) : undefined
const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === 30 ? byte ^ 1 : byte))

t.test('a server that lies is named, by replay, diff and search alike', async (t) => {
  const lies: [command: string[], what: string, lie: Lie, says: RegExp][] = [
    [
      ['diff', '0', '300'],
      'drops an event',
      edit('000', (all) => all.toSpliced(20, 1)),
      /some were dropped \(INVALID_PROOF\)/,
    ],
    [
      ['search', '--complete', '--type', 'urn:x'],
      'alters an event',
      edit('000', (all) => all.with(20, flip(all[20]!))),
      /entry 20 .* it was changed \(INVALID_PROOF\)/,
    ],
    [
      ['replay', '--from', '256'],
      'reorders events',
      edit('001', (all) => all.with(2, all[5]!).with(5, all[2]!)),
      /entry 258 .* entries were moved/,
    ],
  ]
  for (const [command, what, lie, says] of lies) {
    one.liar.lie = lie
    const { code, errors, output } = await treeline(...command, ...flags())
    t.match([code, errors], [1, says], `${command[0]}: it ${what}`)
    t.equal(output, '', 'nothing is printed')
  }
  const { addendum } = json(await ask(one.server.url, '/test/v1/events/0')) as unknown as { addendum: string }
  one.liar.lie = (path) => (path.includes('/addenda/') && !path.includes(addendum) ? null : undefined)
  const hidden = await treeline('replay', ...flags(), '--artifact', digestOf(2), '--to', '6')
  t.match(hidden, { code: 0, output: /^\S+ +2 {2}.*may be.*\n(?:.*\n)*\S+ +3 {2}event/ })
  t.match(
    hidden.errors,
    /of 2 of them nobody .*\(events 2, 5\): .* not served, though no redaction .* the server hides it/,
  )
  one.liar.lie = undefined
})

t.test('an old head is noticed by whoever has seen a newer one', async (t) => {
  const old = Buffer.from(one.log.published!.note)
  t.equal((await treeline('replay', ...flags('aware'), '--kind', 'genesis')).code, 0)
  await one.submit([eventOf(300), eventOf(301)])
  await treeline('replay', ...flags('aware'), '--kind', 'genesis')
  one.liar.lie = (path) => (path.endsWith('/checkpoint') ? old : undefined)
  const aware = await treeline('replay', ...flags('aware'), '--kind', 'genesis')
  t.match(aware, { code: 0, errors: /shows an old head, of size 300: it has shown 302 before/ })
  t.match(aware.errors, /of the entries 0 to 302/)
  const unaware = await treeline('replay', ...flags('unaware'), '--kind', 'genesis')
  t.notMatch(unaware.errors, /old head/, 'who has seen nothing cannot know')
  t.match(unaware.errors, /of the entries 0 to 300/)
  one.liar.lie = undefined
})

t.test('diff says what came between two sizes', async (t) => {
  const { leafHash } = json(await ask(one.server.url, '/test/v1/events/4'))
  const request = redactionRequest(ORIGIN, [{ index: 4, leafHash }], [administrator])
  t.equal((await post(one.server.url, '/test/v1/redactions', request)).status, 201)
  const { index, sha256, policy } = json(await ask(one.server.url, '/test/v1/policy'))
  const [first, second] = policy.signers
  const since = Date.now()
  const next = {
    ...{ ...policy, sequence: 1, previous: { index, sha256 } },
    signers: [
      { ...first, suspended: { since, compromisedSince: null } },
      { ...second, name: 'other' },
    ],
  }
  t.equal((await post(one.server.url, '/test/v1/policy', signedPolicy(next, [administrator]))).status, 201)
  await one.submit([])
  const { code, output, errors } = await treeline('diff', '290', '304', ...flags(), '--json')
  t.equal(code, 0, errors)
  t.match(JSON.parse(output), {
    origin: ORIGIN,
    from: { size: 290 },
    to: { size: 304, root: one.log.published!.note.split('\n')[2]! },
    kinds: { event: 12, redaction: 1, policy: 1 },
    types: { 'urn:treeline:t0:v1': 4, 'urn:treeline:t1:v1': 4, 'urn:treeline:t2:v1': 4 },
    policies: [
      { index: 303, added: ['other'], removed: [second.name], suspended: [first.name], resumed: [], rights: false },
    ],
    redactions: [{ index: 302, redacts: [4], reason: 'personal-data' }],
  })
  const text = await treeline('diff', '304', '290', ...flags())
  t.match(text.output, /14 entries between, accepted from .*\n +12 {2}event\n/)
  t.match(
    text.output,
    /policy at 303: added other; removed signer-\w+; suspended signer-\w+\nredaction at 302: of 4, personal-data\n$/,
  )

  const checkpoint = join(folder, 'checkpoint')
  writeFileSync(checkpoint, one.log.published!.note)
  t.match(await treeline('diff', '0', checkpoint, ...flags(), '--json'), { code: 0, output: /"size":304/ })
  const fork = join(folder, 'fork')
  const root = new Uint8Array(32).fill(7)
  const signer = loadLogSigner(logFiles(one.data, 'test').key, ORIGIN)
  writeFileSync(fork, signNote(formatCheckpoint({ origin: ORIGIN, size: 200n, root, extensions: [] }), [signer]))
  const contradiction = await treeline('diff', fork, '304', ...flags())
  t.match(contradiction, {
    code: 1,
    errors: /contradicts itself: .* size 200 is no part .* at 304. Keep (\S+),.*INVALID_LOG/,
  })
  const [, evidence = ''] = /Keep (\S+),/.exec(contradiction.errors) ?? []
  t.match(await treeline('verify', evidence, '--trust', trust), { code: 0, output: /a fault is proved/ })
})

t.test('search is what the server says; with --complete what it should say', async (t) => {
  const { code, output, errors } = await treeline(
    'search',
    ...flags(),
    '--complete',
    '--type',
    'urn:treeline:t2*',
    '--json',
  )
  t.equal(code, 0, errors)
  t.same(
    indexes(output),
    range(1, 302).filter((i) => i % 3 === 2),
  )
  t.match(errors, /verified: these 100 entries, and no other, under the checkpoint of size 304/)
  t.match(errors, /the answer of the server(, whose index is at \d+ of 304,)? is the same/)
  const uncertain = await treeline(
    'search',
    ...flags(),
    '--complete',
    '--signer',
    signers[0]!.key.id,
    '--artifact',
    digestOf(2),
  )
  t.match(uncertain, { code: 0, output: / 2 {2}event/ })

  const text = await treeline(
    'search',
    ...flags(),
    '--complete',
    '--text',
    'STEP 29',
    '--until',
    String(Date.now()),
    '--json',
  )
  t.same(indexes(text.output), [4, 29, ...range(290, 300)], 'in every payload, in whatever case')
  t.match(text.errors, /of 1 of them nobody can say whether they belong here \(event 4\): .* which was redacted/)
  t.match(text.errors, /the server looks for words, not for a text/)

  // What a server answers to these filters, as a page of the API.
  const answers = (listed: number[]): Lie => {
    const events = listed.map((index) => ({ index, kind: 'event', time: 0, keys: ['ab'], type: 't' }))
    const page = JSON.stringify({ events, next: null, completeTo: 20 })
    return (path) => (path.includes('/v1/events?') && path.includes('artifact=') ? page : undefined)
  }
  const asked = ['--artifact', digestOf(10)]
  for (const [listed, code, says] of [
    [[10, 11], 0, /the answer of the server, whose index is at 20 of 304, is the same/],
    [[11], 1, /the answer of the server leaves out 10 \(INVALID_PROOF\)/],
  ] as const) {
    one.liar.lie = answers([...listed])
    const ended = await treeline('search', ...flags(), '--complete', ...asked)
    t.match([ended.code, ended.errors], [code, says])
    t.match(ended.output, / 10 {2}event[\s\S]* 11 {2}event/, 'the proved ones are printed all the same')
  }
  one.liar.lie = answers([10])
  const told = await treeline('search', ...flags(), ...asked)
  t.match(told, {
    code: 0,
    output: /1970-01-01T00:00:00.000Z +10 {2}event t by ab\n/,
    errors: /1 entries, as the server tells it/,
  })
  one.liar.lie = undefined
})

t.test('replay reads a copy in write-once storage with the server gone', async (t) => {
  const copied = await copiedLog(t)
  const witness = await copied.start()
  for (let i = 1; i <= 4; i++) await copied.submit(`model/${i}`)
  await copied.copied(5)
  const { leafHash } = json(await ask(copied.server.url, '/test/v1/events/2'))
  await post(copied.server.url, '/test/v1/redactions', redactionRequest(ORIGIN, [{ index: 2, leafHash }], admins))
  t.equal(await copied.copied(6), 6)
  t.equal(await witness.stop(), 0)
  const state = ['--state', join(folder, 'copies')]
  const online = ['--log', `${copied.server.url}/test`, '--trust', copied.trust, ...state]
  const served = await treeline('replay', ...online, '--json')
  await copied.server.close()

  const from = [
    '--from-worm',
    copied.worm,
    '--trust',
    copied.trust,
    '--vkey',
    join(copied.data, 'snapshot.vkey'),
    ...state,
  ]
  const sealed = await treeline('replay', ...from, '--json')
  t.match(sealed, {
    code: 0,
    errors: /verified: 6 of the entries 0 to 6 .*, cosigned by w, last seen by a quorum at \d{4}-/,
  })
  t.equal(sealed.output, served.output, 'the same lines as from the server')
  const keys = ['--keys', join(copied.data, 'keys.db')]
  const opened = await treeline('replay', ...from, ...keys, '--json', '--payloads', '--kind', 'event')
  const envelopes = opened.output
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line).envelope)
  t.match(envelopes, [{ payloadType: /in-toto/ }, null, { payloadType: /in-toto/ }, { payloadType: /in-toto/ }])
  t.match(await treeline('replay', ...from, ...keys, '--text', 'model/3'), {
    output: /^\S+ +2 .*may be.*\n.*\n\S+ +3 {2}event/,
  })
  t.match(await treeline('diff', '0', '6', ...from), { code: 0, output: /redaction at 5: of 2/ })
  const stranger = join(folder, 'stranger')
  writeFileSync(stranger, readFileSync(copied.trust, 'utf8').replace(/^log .*$/m, `log ${one.vkey}`))
  const untrusted = from.map((flag) => (flag === copied.trust ? stranger : flag))
  t.match(await treeline('replay', ...untrusted), { code: 1, errors: /UNVERIFIED_NOTE/ })
})
