import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import type { Question } from '../../src/client/lineage-answer.ts'
import { formatDot, formatProv, formatTable } from '../../src/client/lineage-formats.ts'
import { formatReport, type ReportFiles, verifyReport } from '../../src/client/report.ts'
import { type Trace, trace } from '../../src/client/trace.ts'
import { Transport } from '../../src/client/transport.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import type { Lineage } from '../../src/core/lineage.ts'
import { formatBundle, parseBundle } from '../../src/core/tile.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { ORIGIN, temporaryFolder } from '../support/server.ts'
import { idOf, intruder, MANY, SCRIPT, step, tracedLog, trainer } from './history.ts'
import type { Lie } from './liar.ts'

const history = await tracedLog(t)
const { liar, trust } = history
/** Of ten entries. */
const first = await (await fetch(`${history.honest}/checkpoint`)).text()

type Asked = Partial<Question> & { readonly complete?: boolean; readonly state?: string; readonly lie?: Lie }

/** What a client proves of what the server behind the liar says. */
async function traced(
  t: Test,
  { complete = false, state = temporaryFolder(t), lie, ...question }: Asked,
): Promise<Trace> {
  const transport = new Transport({ url: history.url, patience: 5_000 })
  liar.lie = lie
  try {
    return await trace({
      open: () => transport,
      log: 'test',
      known: new Map([['test', ORIGIN]]),
      trust,
      state,
      question: { direction: 'down', depth: 64, limit: 1_000, ...question } as Question,
      complete,
    })
  } finally {
    liar.lie = undefined
    await transport.close()
  }
}

const indexes = ({ events }: Lineage): number[] => events.map(({ index }) => index).sort((a, b) => a - b)
const namesOf = ({ artifacts }: Lineage): string[] => artifacts.flatMap(({ names = [] }) => names).sort()
/** Changes the answer about lineage. */
const lineageLie =
  (change: (answer: Mutable) => void): Lie =>
  (path, body) => {
    if (!path.includes('/v1/lineage')) return undefined
    const answer = JSON.parse(body.toString())
    change(answer)
    return JSON.stringify(answer)
  }
// biome-ignore lint/suspicious/noExplicitAny: the document of a liar has whatever shape the lie needs
type Mutable = any

t.test('what was asked for is found, and proved', async (t) => {
  for (const complete of [false, true]) {
    const down = await traced(t, { artifact: idOf('raw.csv'), complete })
    t.strictSame([down.faults, down.notices], [[], []])
    t.strictSame(indexes(down.lineage), [2, 3, 4, 5])
    t.strictSame(namesOf(down.lineage), [SCRIPT, 'model', 'raw.csv', 'report', 'test.csv', 'train.csv'])
    t.strictSame(
      down.lineage.events.map(({ index, distance }) => [index, distance]),
      [
        [2, 1],
        [3, 2],
        [4, 2],
        [5, 3],
      ],
    )
    t.strictSame(down.lineage.events[0]?.marks, [
      { log: 'test', index: 9, kind: 'quarantine', reason: 'labels were <wrong>' },
    ])
    t.strictSame(down.logs[0]?.scanned, complete ? 10 : null)
    const up = await traced(t, { artifact: idOf(SCRIPT), direction: 'up', complete })
    t.strictSame(indexes(up.lineage), [1, 2, 3, 4, 5, 7])
    const model = up.lineage.artifacts.find(({ id }) => id === idOf('model'))
    t.equal(model?.producers, 2, 'the two producers of the model contradict each other')
    const near = await traced(t, { artifact: idOf('raw.csv'), depth: 1, complete })
    t.strictSame([indexes(near.lineage), near.lineage.truncated], [[2], true])
    const nothing = await traced(t, { artifact: idOf('never seen'), complete })
    t.strictSame([indexes(nothing.lineage), nothing.faults], [[], []])
  }
})

t.test('in the down direction too, both producers of the model are among the evidence', async (t) => {
  const { events, lineage } = await traced(t, { artifact: idOf('train.csv') })
  t.strictSame(indexes(lineage), [3, 4, 5])
  t.ok(events.some(({ evidence }) => evidence.index === 7))
  t.equal(lineage.artifacts.find(({ id }) => id === idOf('model'))?.producers, 2)
})

t.test('everything that a key signed, and what came of it', async (t) => {
  for (const complete of [false, true]) {
    const all = await traced(t, { signer: intruder.key.id, complete })
    t.strictSame([indexes(all.lineage), all.faults], [[4, 5, 7], []])
    const time = all.lineage.events.find(({ index }) => index === 7)!.time
    const after = await traced(t, { signer: intruder.key.id, since: time + 1, complete })
    t.strictSame(indexes(after.lineage), [])
    const until = await traced(t, { signer: intruder.key.id, since: time, until: time + 1, complete })
    t.strictSame(indexes(until.lineage), [4, 5, 7])
  }
})

t.test('artifacts that stand only in a payload lead on', async (t) => {
  const { lineage, faults } = await traced(t, { artifact: idOf('merged'), direction: 'up', complete: true })
  t.strictSame([namesOf(lineage).length, faults], [MANY.length + 1, []])
  const hidden = MANY.filter((name) => lineage.edges.some(({ artifact }) => artifact === idOf(name)))
  t.equal(hidden.length, MANY.length)
})

t.test('a lying server is named', async (t) => {
  const ask = { artifact: idOf('raw.csv') }
  await t.test('it invents an edge', async (t) => {
    const edge = { log: 'test', index: 5, artifact: idOf('train.csv'), role: 'consumed' }
    const { faults, lineage } = await traced(t, { ...ask, lie: lineageLie(({ edges }) => edges.push(edge)) })
    t.match(faults.join(), `the server invents that event 5 of test consumed ${idOf('train.csv')}`)
    t.notOk(lineage.edges.some(({ index, artifact }) => index === 5 && artifact === idOf('train.csv')))
  })
  await t.test('it hides an edge', async (t) => {
    const lie = lineageLie((answer) => {
      answer.edges = answer.edges.filter(
        ({ index, artifact }: { index: number; artifact: string }) => index !== 5 || artifact !== idOf('model'),
      )
    })
    const { faults, lineage } = await traced(t, { ...ask, lie })
    t.strictSame(faults, [`the server hides that event 5 of test consumed ${idOf('model')}`])
    t.ok(lineage.edges.some(({ index, artifact }) => index === 5 && artifact === idOf('model')))
  })
  await t.test('but what it cut off is no lie', async (t) => {
    const lie = lineageLie((answer) => {
      answer.truncated = true
      answer.edges = []
    })
    const { faults, lineage } = await traced(t, { ...ask, lie })
    t.strictSame([faults, lineage.truncated], [[], true])
    t.match(formatTable(lineage).at(-1), /there is more/)
  })
  await t.test('it hides an artifact with all that it led to', async (t) => {
    const lie = lineageLie((answer) => {
      answer.artifacts = answer.artifacts.filter(({ id }: { id: string }) => id !== idOf(SCRIPT))
      answer.edges = answer.edges.filter(({ artifact }: { artifact: string }) => artifact !== idOf(SCRIPT))
    })
    const { faults } = await traced(t, { ...ask, lie })
    t.strictSame(faults, [`the server hides ${idOf(SCRIPT)}, to which events that it lists lead`])
  })
  // What nothing that is listed leads to, only a scan can show.
  const dropping = lineageLie((answer) => {
    answer.events = answer.events.filter(({ index }: { index: number }) => index !== 4)
    answer.edges = answer.edges.filter(({ index }: { index: number }) => index !== 4)
    answer.artifacts = answer.artifacts.filter(({ id }: { id: string }) => id !== idOf('report'))
    const release = ({ index, artifact }: { index: number; artifact: string }) =>
      index === 5 && artifact === idOf('report')
    answer.edges = answer.edges.filter((edge: { index: number; artifact: string }) => !release(edge))
  })
  await t.test('it leaves an event out', async (t) => {
    const { faults, lineage } = await traced(t, { ...ask, complete: true, lie: dropping })
    t.match(faults.join(), 'the server leaves out event 4 of test (urn:treeline:evaluate:v1)')
    t.strictSame(indexes(lineage), [2, 3, 4, 5], 'and the answer is whole all the same')
    t.strictSame((await traced(t, { ...ask, lie: dropping })).faults, [], 'which nobody sees without reading the log')
  })
  await t.test('it leaves a quarantine out', async (t) => {
    const lie = lineageLie(({ events }) => {
      for (const event of events) event.marks = []
    })
    const { faults, lineage } = await traced(t, { ...ask, complete: true, lie })
    t.strictSame(faults, ['the server leaves out the quarantine of event 2 of test by event 9 of test'])
    t.equal(lineage.events.find(({ index }) => index === 2)?.marks.length, 1)
  })
  await t.test('it says something else of an event', async (t) => {
    const lie = lineageLie(({ events }) => {
      events[0].signers = ['somebody']
      events[1].type = 'urn:treeline:other:v1'
    })
    const { faults, lineage } = await traced(t, { ...ask, lie })
    t.strictSame(faults, [
      'the server says signers somebody of event 2 of test: it is trainer',
      'the server says type urn:treeline:other:v1 of event 3 of test: it is urn:treeline:train:v1',
    ])
    t.strictSame(lineage.events[0]?.signers, ['trainer'])
  })
  await t.test('it lists an event that it does not have, or that it alters', async (t) => {
    const made = lineageLie(({ events }) => events.push({ ...events[0], index: 900 }))
    t.match(
      (await traced(t, { ...ask, lie: made })).faults.join(),
      /event 900 of test, which the server lists, is not proved/,
    )
    const altered: Lie = (path, body) => {
      if (!path.endsWith('/v1/evidence/3')) return undefined
      const at = body.indexOf('extra ') + 100
      const changed = Buffer.from(body)
      changed[at] = changed[at] === 0x41 ? 0x42 : 0x41
      return new Uint8Array(changed)
    }
    const { faults, lineage } = await traced(t, { ...ask, lie: altered })
    t.match(faults.join(), /event 3 of test, which the server lists, is not proved/)
    t.notOk(indexes(lineage).includes(3))
    const swapped: Lie = (path) => (path.endsWith('/v1/evidence/3') ? evidenceOf(4) : undefined)
    t.match((await traced(t, { ...ask, lie: swapped })).faults.join(), /event 3 .* it is of 4 of log.example\/test/)
  })
  await t.test('it answers another question', async (t) => {
    const lie = lineageLie((answer) => {
      answer.start = [idOf('train.csv')]
    })
    await t.rejects(traced(t, { ...ask, lie }), { code: 'INVALID_PROOF', message: /another question/ })
    await t.rejects(traced(t, { ...ask, lie: lineageLie((answer) => (answer.edges = {})) }), { code: 'INVALID_PROOF' })
  })
  await t.test('it serves an old head', async (t) => {
    const old = new Uint8Array(Buffer.from(await (await fetch(`${history.honest}/checkpoint`)).arrayBuffer()))
    await history.submit(step({ type: 'deploy', consumed: [SCRIPT], produced: ['deployed'] }))
    const lie: Lie = (path) => (path.endsWith('/checkpoint') ? old : undefined)
    const { faults } = await traced(t, { ...ask, lie })
    t.match(faults.join(), /serves an old head: 10 entries, and evidence under its checkpoint of 11/)
    const state = temporaryFolder(t)
    t.strictSame((await traced(t, { ...ask, state })).faults, [])
    const again = await traced(t, { artifact: idOf('raw.csv'), depth: 1, state, lie })
    t.match(again.faults.join(), /serves an old head: 10 entries, after it has shown 11/)
  })
  await t.test('it drops, alters or moves an entry', async (t) => {
    const edit =
      (change: (entries: Uint8Array[]) => Uint8Array[]): Lie =>
      (path, body) =>
        path.includes('/tile/entries/') ? formatBundle(change(parseBundle(new Uint8Array(body)))) : undefined
    for (const [what, change, message] of [
      ['drops', (all) => all.slice(0, -1), /^test: .* were signed only 10 are served: some were dropped/],
      [
        'alters',
        (all) =>
          all.with(
            4,
            all[4]!.map((byte, i) => (i === 30 ? byte ^ 1 : byte)),
          ),
        /^test: entry 4 is not the one .* it was changed/,
      ],
      ['moves', (all) => all.with(4, all[5]!).with(5, all[4]!), /^test: entry 4 .* it stands at 5: entries were moved/],
    ] as [string, (all: Uint8Array[]) => Uint8Array[], RegExp][])
      await t.rejects(
        traced(t, { ...ask, complete: true, lie: edit(change) }),
        { code: 'INVALID_PROOF', message },
        what,
      )
  })
  await t.test('it hides payloads, of which no redaction tells', async (t) => {
    const lie: Lie = (path) => (path.includes('/addenda/') ? null : undefined)
    const { notices } = await traced(t, { artifact: idOf('merged'), direction: 'up', complete: true, lie })
    t.strictSame(notices, [
      'artifacts or marks in the payload of events 8, 9 of test are unknown, and what they lead to: it is not served, and no redaction of the log names it: it is lost, or the server hides it',
    ])
  })
  await t.test('it has forgotten what it has shown', async (t) => {
    const state = temporaryFolder(t)
    await traced(t, { ...ask, state })
    const problem = {
      type: 'urn:treeline:problem:UNKNOWN_SIZE',
      code: 'UNKNOWN_SIZE',
      detail: 'the log has 10 entries',
    }
    const lie: Lie = (path) =>
      path.endsWith('/checkpoint') ? first : path.includes('/consistency') ? { status: 404, body: problem } : undefined
    const message = /^test: the log shows an old head: it knows 10 entries, and no longer what it signed at size 11/
    await t.rejects(traced(t, { ...ask, state, lie }), { code: 'INVALID_PROOF', message })
  })
  await t.test('but what a reader may not read is no lie', async (t) => {
    const problem = { type: 'urn:treeline:problem:FORBIDDEN', code: 'FORBIDDEN', detail: 'no scope payload' }
    const lie: Lie = (path) => (/evidence\/[345]$|addenda/.test(path) ? { status: 403, body: problem } : undefined)
    const { faults, gaps, notices, lineage } = await traced(t, { ...ask, complete: true, lie })
    t.strictSame(indexes(lineage), [2])
    t.strictSame(faults, [])
    t.match(gaps, [
      /^the evidence of events 3, 4, 5 of test takes the scope payload there/,
      'event 10 of test, to which only such steps lead',
    ])
    t.match(notices, [/events 8, 9 of test are unknown.*: the token does not open payloads there/])
  })
  await t.test('it leaves the whole log out', async (t) => {
    const lie = lineageLie((answer) => {
      for (const part of ['start', 'artifacts', 'events', 'edges', 'logs']) answer[part] = []
    })
    const { faults, lineage } = await traced(t, { ...ask, complete: true, lie })
    t.match(faults.join(), 'the server leaves the log test out of its answer')
    t.strictSame(indexes(lineage), [2, 3, 4, 5, 10])
    const swapped = lineageLie(({ logs }) => (logs[0].origin = 'log.example/other'))
    await t.rejects(traced(t, { ...ask, lie: swapped }), {
      code: 'INVALID_PROOF',
      message: /test is log.example\/test/,
    })
  })
  await t.test('and none of it is needed of an honest one', async (t) => {
    t.strictSame((await traced(t, { ...ask, complete: true })).faults, [])
  })
})

const evidence = new Map<number, Uint8Array>()
const evidenceOf = (index: number): Uint8Array => evidence.get(index)!
for (let index = 1; index < 10; index++)
  evidence.set(index, new Uint8Array(await (await fetch(`${history.honest}/v1/evidence/${index}`)).arrayBuffer()))

t.test('formats for other programs', async (t) => {
  const { lineage } = await traced(t, { artifact: idOf('raw.csv') })
  const table = formatTable(lineage)
  t.match(table[0], /^step {2}log {3}index/)
  t.match(table.join('\n'), `      consumed  raw.csv (${idOf('raw.csv')})`)
  t.match(table.join('\n'), '! quarantined by event 9 of test: labels were <wrong>')
  t.match(table.join('\n'), `! 2 events say that they produced model (${idOf('model')})`)

  const dot = formatDot(lineage)
  t.match(dot, `"${idOf('raw.csv')}" -> "test 2"`)
  t.match(dot, `"test 3" -> "${idOf('model')}"`)
  t.match(dot, 'label="<script>alert(\\"x\\")</script>')

  const prov = formatProv(lineage) as Record<string, Record<string, Record<string, unknown>>>
  t.equal(Object.keys(prov.entity!).length, lineage.artifacts.length)
  t.equal(Object.keys(prov.activity!).length, lineage.events.length)
  const relations = Object.values({ ...prov.used, ...prov.wasGeneratedBy })
  t.equal(relations.length, lineage.edges.length)
  for (const relation of relations) {
    t.ok(prov.entity![relation['prov:entity'] as string], 'each relation is between things that are there')
    t.ok(prov.activity![relation['prov:activity'] as string])
  }
  t.strictSame(prov.agent, { [`treeline:key-${trainer.key.id}`]: { 'prov:label': 'trainer' } })
})

t.test('a report verifies with no network, and nothing in it can be changed', async (t) => {
  const files = formatReport(await traced(t, { artifact: idOf(SCRIPT), direction: 'up', complete: true }), 1)
  const { report, events } = verifyReport(files, trust)
  t.equal(report.lineage.events.length, 6)
  t.equal(events.length, 7, 'with the quarantine')
  const changed = (name: string, change: (text: string) => string): ReportFiles => {
    const text = new TextDecoder().decode(files.get(name))
    const now = change(text)
    if (now === text) throw new Error(`nothing of ${name} was changed`)
    return new Map([...files, [name, toUtf8(now)]])
  }
  const documented = (change: (report: Mutable) => void): ReportFiles =>
    changed('report.json', (text) => {
      const report = JSON.parse(text)
      change(report)
      return JSON.stringify(report)
    })
  for (const [what, broken, message] of [
    ['html', changed('report.html', (text) => text.replace('quarantined', 'fine')), /report.html is not what/],
    ['instructions', changed('VERIFY.md', (text) => `${text}\nTrust us.`), /VERIFY.md is not what/],
    ['checkpoint', changed('checkpoints/test.txt', (text) => `${text}\n`), /checkpoints\/test.txt is not what/],
    ['a stray file', new Map([...files, ['evil.html', toUtf8('<script>')]]), /evil.html is no part of it/],
    ['evidence is gone', without(files, 'evidence/test-3.tlog-proof'), /evidence\/test-3.tlog-proof is missing/],
    ['no document', without(files, 'report.json'), /no report.json/],
  ] as const)
    t.throws(() => verifyReport(broken, trust), { code: 'INVALID_PROOF', message }, what)

  const edge = { log: 'test', index: 5, artifact: idOf('test.csv'), role: 'consumed' }
  for (const [what, change, message] of [
    ['an edge more', ({ lineage }) => lineage.edges.push(edge), /does not show/],
    ['an edge less', ({ lineage }) => lineage.edges.pop(), /leaves out/],
    ['an artifact less', ({ lineage }) => lineage.artifacts.pop(), /leaves out/],
    ['another signer', ({ lineage }) => (lineage.events[0].signers = ['x']), /does not show/],
    ['no quarantine', ({ lineage }) => (lineage.events.find(quarantined).marks = []), /does not show/],
    ['another question', ({ question }) => (question.depth = 1), /another question|does not show|cut off/],
    ['cut off', (r) => (r.lineage.depth = 2), /another question/],
    ['an old head', (r) => (r.logs[0].checkpoint = first), /is not shown to be of the same tree/],
    ['evidence less', (r) => void r.evidence.splice(1, 1), /no part of it/],
    ['another log', (r) => (r.evidence[0].log = 'other'), /not called|no part/],
  ] as readonly [string, (report: Mutable) => unknown, RegExp][])
    t.throws(() => verifyReport(documented(change), trust), { message }, what)

  const proof = files.get('evidence/test-3.tlog-proof')!
  for (let at = 0; at < proof.length; at += Math.ceil(proof.length / 10)) {
    const flipped = proof.slice()
    flipped[at]! ^= 0x01
    // Whoever changes it also writes its new digest down.
    const forged = documented(({ evidence }) => {
      evidence.find(({ index }: { index: number }) => index === 3).sha256 = sha256(flipped)
    })
    t.throws(() => verifyReport(new Map([...forged, ['evidence/test-3.tlog-proof', flipped]]), trust), /test-3/)
  }
  const swapped = new Map([...files, ['evidence/test-3.tlog-proof', files.get('evidence/test-4.tlog-proof')!]])
  t.throws(() => verifyReport(swapped, trust), { code: 'INVALID_PROOF' })
  const stranger = parseWitnessPolicy(toUtf8('quorum none\n'))
  t.throws(() => verifyReport(files, stranger), { code: 'UNVERIFIED_NOTE', message: /checkpoints\/test.txt/ })
})

const sha256 = (bytes: Uint8Array): string => createHash('sha256').update(bytes).digest('hex')
const quarantined = ({ marks }: { marks: unknown[] }): boolean => marks.length > 0
const without = (files: ReportFiles, name: string): ReportFiles => new Map([...files].filter(([one]) => one !== name))

t.test('the page of a report is safe: no script, nothing from outside, everything escaped', async (t) => {
  const files = formatReport(await traced(t, { artifact: idOf('poison') }), 1)
  const html = new TextDecoder().decode(files.get('report.html'))
  t.notMatch(html, /<script/i)
  t.notMatch(html, /<b>intruder/)
  t.match(html, '&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;')
  t.match(html, '&lt;b&gt;intruder&lt;/b&gt;')
  t.match(html, `content="default-src 'none'; style-src 'unsafe-inline'"`)
  t.notMatch(html, /(?:src|href)="(?!evidence\/)/, 'it links to nothing but its evidence')
  t.match(html, /prefers-color-scheme: dark/)
  t.match(html, /@media print/)
})
