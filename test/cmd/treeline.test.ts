/** The programs as users run them: processes, files, exit codes. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import t from 'tap'
import { SigningKey, signEnvelope } from '../../src/client/signing-key.ts'
import { fromUtf8, toUtf8 } from '../../src/core/bytes.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { middle, problem } from '../client/middle.ts'
import { AWAY, NOWHERE, ORIGIN, Programs } from '../client/programs.ts'
import { statement } from '../support/actors.ts'
import { temporaryFolder } from '../support/server.ts'

const programs = new Programs(temporaryFolder(t))
let server: Awaited<ReturnType<Programs['serve']>>

t.test('from keys to a log that is served', async (t) => {
  for (const name of ['admin', 'second', 'trainer', 'stranger']) {
    const { out } = await programs.expecting(0, ['keygen', name])
    t.match(out, /^[0-9a-f]{64}\n$/)
  }
  t.match(JSON.parse((await programs.expecting(0, ['keygen', 'ci', '--algorithm', 'p256', '--json'])).out), {
    key: 'ci.key',
  })
  const first = await programs.init()
  t.match(first, { code: 0, err: /needs a write policy/ })
  const vkey = first.out.trim()
  await programs.expecting(0, [
    ...['policy', 'new', '--log-key', vkey, '--administrator', 'admin.pub', '--administrator', 'second.pub'],
    ...['--threshold', '2', '--redactor', 'admin.pub', '--out', 'policy.json'],
    ...['--signer', 'trainer=trainer.pub,types=urn:treeline:*|urn:other,subjects=*'],
    ...['--signer', 'ci=ci.pub,keyids=ci-alias,from=2020-01-01T00:00:00Z,until=2100-01-01T00:00:00Z,shared'],
  ])
  await programs.expecting(0, ['policy', 'sign', 'policy.json', '--key', 'admin.key', '--out', 'once.json'])
  t.not((await programs.init('--policy', 'once.json')).code, 0, 'one of two signatures')
  await programs.expecting(0, ['policy', 'sign', 'once.json', '--key', 'second.key', '--out', 'signed.json'])
  t.equal((await programs.init('--policy', 'signed.json')).out.trim(), vkey)
  server = await programs.serve()
  const shown = await programs.expecting(0, ['trust', server.url, '--out', 'trust.txt'])
  t.match(shown.out, new RegExp(`origin ${ORIGIN}[\\s\\S]*genesis [0-9a-f]{64}`))
  t.equal((await programs.expecting(0, ['trust', server.url])).out, readFileSync(programs.path('trust.txt'), 'utf8'))
  t.match(JSON.parse((await programs.expecting(0, ['trust', server.url, '--json'])).out), { origin: ORIGIN, vkey })
})

t.teardown(() => server?.stop())

t.test('an event, read in every way, and verified with the server stopped', async (t) => {
  const flags = [
    '--consumed',
    `data/train=${programs.write('train.csv', '1,2')}`,
    '--parameter',
    'rate=0.1',
    '--parameter',
    'id=12345678901234567890',
  ]
  const { out } = await programs.expecting(
    0,
    programs.submission(server.url, 'model.bin', ...flags, '--receipt', 'receipt.json'),
  )
  t.equal(out, `logged at index 1 of ${ORIGIN}; the receipt verifies\n`)
  t.match(
    (await programs.expecting(0, programs.submission(server.url, 'model.bin', ...flags))).out,
    /^already logged at index 1 /,
  )
  const event = JSON.parse((await programs.expecting(0, ['get', '--log', server.url, '1', '--json'])).out)
  const payload = JSON.parse(Buffer.from(event.envelope.payload, 'base64').toString())
  t.same(
    payload.predicate.parameters,
    { rate: 0.1, id: '12345678901234567890' },
    'a number is one only if it stays itself',
  )
  t.equal(payload.predicate.consumed[0].name, 'data/train')
  t.match(
    (await programs.expecting(0, ['get', '--log', server.url, '1'])).out,
    /entry 1: event of type urn:treeline:train:v1/,
  )
  const withTrust = ['--trust', 'trust.txt']
  await programs.expecting(0, [
    'evidence',
    '--log',
    server.url,
    ...withTrust,
    'receipt.json',
    '--out',
    'model.tlog-proof',
  ])
  await programs.expecting(0, ['evidence', '--log', server.url, '--artifact', 'model.bin', '--out', 'same.tlog-proof'])
  t.same(readFileSync(programs.path('same.tlog-proof')), readFileSync(programs.path('model.tlog-proof')))
  await programs.expecting(0, ['proof', '--log', server.url, ...withTrust, '1', '--out', 'bare.tlog-proof'])
  await server.stop()

  const { genesis } = JSON.parse(
    (await programs.expecting(0, ['verify', ...withTrust, '--json', 'model.tlog-proof'])).out,
  )
  const verified = await programs.expecting(0, [
    'verify',
    ...withTrust,
    '--genesis',
    genesis,
    '--artifact',
    'model.bin',
    '--artifact',
    'train.csv',
    'model.tlog-proof',
  ])
  t.match(verified.out, /signer trainer, allowed by the policy at index 0[\s\S]*it names train.csv/)
  writeFileSync(programs.path('entry'), Buffer.from(event.entry, 'base64'))
  await programs.expecting(0, ['verify', ...withTrust, '--entry', 'entry', 'bare.tlog-proof'])
  writeFileSync(programs.path('envelope.json'), JSON.stringify(event.envelope))
  const receipt = ['verify', ...withTrust, '--public-key', 'trainer.pub', '--envelope', 'envelope.json', 'receipt.json']
  t.match(JSON.parse((await programs.expecting(0, [...receipt, '--json'])).out), {
    origin: ORIGIN,
    index: 1,
    kind: 'receipt',
  })

  const bad = readFileSync(programs.path('model.tlog-proof'))
  const at = bad.indexOf('extra ') + 300
  bad[at] = bad[at] === 0x41 ? 0x42 : 0x41
  writeFileSync(programs.path('bad.tlog-proof'), bad)
  writeFileSync(
    programs.path('bad-receipt.json'),
    readFileSync(programs.path('receipt.json'), 'utf8').replace('"index": 1', '"index": 0'),
  )
  const vkey = /log (\S+)/.exec(readFileSync(programs.path('trust.txt'), 'utf8'))![1]!
  programs.write(
    'wrong.txt',
    `log ${vkey.replace(ORIGIN, 'log.example/other').replace(/\+[0-9a-f]{8}\+/, '+00000000+')}\nquorum none\n`,
  )
  programs.write('nobody.txt', 'quorum none\n')
  for (const [code, args] of [
    [1, ['verify', ...withTrust, 'bad.tlog-proof']],
    [1, ['verify', ...withTrust, '--artifact', 'entry', 'model.tlog-proof']],
    [1, [...receipt.slice(0, -1), 'bad-receipt.json']],
    [1, ['verify', '--trust', 'nobody.txt', 'model.tlog-proof']],
    [2, ['verify', '--trust', 'wrong.txt', 'model.tlog-proof']],
    [2, ['verify', ...withTrust, '--genesis', 'x', 'model.tlog-proof']],
    [2, ['verify', 'model.tlog-proof']],
  ] as const) {
    await t.resolves(programs.expecting(code, args), `${code}: ${args.join(' ')}`)
  }
  server = await programs.serve()
})

t.test('events that were made elsewhere', async (t) => {
  const statement = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [{ name: 's', digest: { sha256: 'ab'.repeat(32) } }],
    predicateType: 'urn:other',
    predicate: {},
  }
  programs.write('statement.json', JSON.stringify(statement))
  await programs.expecting(0, [
    'submit',
    ...programs.log(server.url),
    '--key',
    'trainer.key',
    '--statement',
    'statement.json',
  ])
  const cloudevent = {
    specversion: '1.0',
    id: '1',
    source: '/s',
    type: 'org.example.trained',
    subject: 'm',
    produced: `sha256:${'cd'.repeat(32)}`,
  }
  programs.write('cloudevent.json', JSON.stringify(cloudevent))
  await programs.expecting(0, [
    'submit',
    ...programs.log(server.url),
    '--key',
    'ci.key',
    '--cloudevent',
    'cloudevent.json',
  ])
  // As cosign writes it: no key id.
  const other = { ...statement, subject: [{ ...statement.subject[0], name: 'cosigned' }] }
  const made = JSON.parse(
    fromUtf8(signEnvelope(IN_TOTO, toUtf8(JSON.stringify(other)), [SigningKey.load(programs.path('ci.key'))]))!,
  )
  programs.write('foreign.json', JSON.stringify({ ...made, signatures: [{ keyid: '', sig: made.signatures[0].sig }] }))
  const send = ['submit', ...programs.log(server.url), '--envelope', 'foreign.json']
  t.match((await programs.expecting(0, [...send, '--public-key', 'ci.pub'])).out, /the receipt verifies/)
  await programs.expecting(2, send)
  await programs.expecting(3, [...send, '--public-key', 'trainer.pub'])
})

t.test('the program of docs/client.md does what it says', async (t) => {
  programs.write('train.csv', 'a,b')
  programs.write('model.bin', 'weights')
  const url = { 'http://127.0.0.1:8640/models': server.url }
  const logged = await programs.runDocumented('client.md', url)
  t.equal(logged.code, 0, logged.err)
  t.match(
    logged.out,
    /^evidence [0-9]+\n\{ proved: 1, foreign: 0, waiting: 0 \}\n\{ logged: \[\], rejected: \[\], left: 0 \}\n$/,
  )
  const evidence = ['verify', '--trust', 'trust.txt', '--artifact', 'model.bin', 'model.tlog-proof']
  t.match((await programs.expecting(0, evidence)).out, /type urn:treeline:train:v1/)
  const away = await programs.runDocumented('client.md', {
    ...url,
    [server.url]: NOWHERE,
    "state: '.t": "patience: 0, state: '.t",
  })
  t.equal(away.code, 0, away.err)
  t.match(away.out, /^spooled in .*: .* does not answer/)
})

t.test('policies and redactions', async (t) => {
  const admin = ['--key', 'admin.key']
  t.equal(JSON.parse((await programs.expecting(0, ['policy', 'show', ...programs.log(server.url)])).out).sequence, 0)
  await programs.expecting(0, ['policy', 'show', '--next', ...programs.log(server.url), '--out', 'next.json'])
  const next = JSON.parse(readFileSync(programs.path('next.json'), 'utf8'))
  programs.write('next.json', JSON.stringify({ ...next, produces: ['urn:other'] }))
  await programs.expecting(0, ['policy', 'sign', 'next.json', ...admin, '--out', 'next-once.json'])
  t.match(await programs.expecting(3, ['policy', 'submit', ...programs.log(server.url), 'next-once.json']), {
    err: /BAD_SIGNATURE/,
  })
  // A signature of somebody who is no administrator does not count, and does no harm.
  await programs.expecting(0, [
    'policy',
    'sign',
    'next-once.json',
    '--key',
    'second.key',
    '--key',
    'trainer.key',
    '--out',
    'next-signed.json',
  ])
  t.match(
    (await programs.expecting(0, ['policy', 'submit', ...programs.log(server.url), 'next-signed.json'])).out,
    /in force from entry \d+ on/,
  )
  t.match(
    (await programs.expecting(0, ['policy', 'submit', ...programs.log(server.url), 'next-signed.json'])).out,
    /in force/,
    'once more is no harm',
  )
  await programs.expecting(3, ['policy', 'submit', ...programs.log(server.url), 'signed.json'])

  const suspend = [
    'policy',
    'suspend',
    ...programs.log(server.url),
    ...admin,
    '--compromised-since',
    '2026-01-01T00:00:00Z',
  ]
  await programs.expecting(2, [...suspend, 'nobody'])
  t.match((await programs.expecting(0, [...suspend, 'ci'])).out, /in force from entry/)
  await programs.expecting(2, [...suspend, 'ci'])
  const { out } = await programs.expecting(0, ['policy', 'show', ...programs.log(server.url)])
  t.match(JSON.parse(out).signers[1], { name: 'ci', suspended: { compromisedSince: Date.UTC(2026, 0, 1) } })
  t.match(
    await programs.expecting(3, [
      'submit',
      ...programs.log(server.url),
      '--key',
      'ci.key',
      '--statement',
      'statement.json',
    ]),
    {
      err: /KEY_SUSPENDED/,
    },
  )

  const redact = ['redact', ...programs.log(server.url), ...admin]
  await programs.expecting(0, [...redact, '2', '3', '--reason', 'personal-data', '--out', 'request.json'])
  t.match(await programs.expecting(0, [...redact, '--request', 'request.json']), {
    out: /redacts 2, 3\n/,
    err: /redacts 2, 3 of log.example\/models/,
  })
  t.match((await programs.expecting(0, ['get', '--log', server.url, '2'])).out, /redacted by entry \d+: personal-data/)
  await programs.expecting(0, ['evidence', ...programs.log(server.url), '2', '--out', 'redacted.tlog-proof'])
  t.match(
    JSON.parse((await programs.expecting(0, ['verify', '--trust', 'trust.txt', '--json', 'redacted.tlog-proof'])).out),
    {
      redacted: true,
    },
  )
  await programs.expecting(2, [...redact, '0', '--reason', 'x'])
  await programs.expecting(2, [...redact, '1'])
  await programs.expecting(3, ['redact', ...programs.log(server.url), '--key', 'trainer.key', '1', '--reason', 'x'])
})

t.test('a batch from a file: submitted, read, verified, replayed and searched like events', async (t) => {
  const lines = Array.from({ length: 3 }, (_, i) =>
    JSON.stringify(statement(`model/item-${i}`, { consumed: [{ name: 'set', digest: { sha256: 'ef'.repeat(32) } }] })),
  )
  programs.write('batch.ndjson', lines.join('\n'))
  const flags = programs.log(server.url)
  const submit = ['submit', ...flags, '--key', 'trainer.key', '--batch', 'batch.ndjson']
  const { out } = await programs.expecting(0, [...submit, '--receipt', 'batch-receipt.json'])
  const found = /^logged at index (\d+) of .*, with its 3 items at (\d+) to (\d+); the receipt verifies\n$/.exec(out)!
  const [header, first] = [Number(found[1]), Number(found[2])]
  t.same([first, Number(found[3])], [header + 1, header + 3])
  t.match((await programs.expecting(0, submit)).out, /^already logged at index /)
  t.match((await programs.expecting(2, [...submit, '--type', 'urn:x'])).err, /leave out --type/)
  t.match((await programs.expecting(0, ['get', String(first), '--log', server.url])).out, /item 0 of the batch at/)
  await programs.expecting(0, ['evidence', String(first + 2), '--log', server.url, '--out', 'item.tlog-proof'])
  t.match(
    (await programs.expecting(0, ['verify', '--trust', 'trust.txt', 'item.tlog-proof'])).out,
    /item 2 of 3 in the signed batch/,
  )
  await programs.expecting(0, ['evidence', 'batch-receipt.json', '--log', server.url, '--out', 'header.tlog-proof'])
  t.match(
    (await programs.expecting(0, ['verify', '--trust', 'trust.txt', 'header.tlog-proof'])).out,
    /header of a batch, signed by trainer/,
  )
  const watched = ['--log', server.url, '--trust', 'trust.txt']
  const replayed = await programs.expecting(0, ['replay', ...watched, '--from', String(header), '--json', '--payloads'])
  const entries = replayed.out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line))
  t.match(entries, [{ kind: 'batch' }, { batch: { header, position: 0 }, envelope: null }, {}, {}])
  t.equal(Buffer.from(entries[3].payload, 'base64').toString(), lines[2])
  const searched = await programs.expecting(0, [
    'search',
    ...watched,
    '--artifact',
    `sha256:${'ef'.repeat(32)}`,
    '--complete',
  ])
  for (const index of [first, first + 1, first + 2]) t.match(searched.out, new RegExp(` ${index}  event`))
  t.match(
    (await programs.expecting(0, ['replay', ...watched, '--text', 'item-1'])).out,
    new RegExp(` ${first + 1}  event`),
  )
  const traced = await programs.expecting(0, ['trace', `sha256:${'ef'.repeat(32)}`, ...watched, '--down', '--json'])
  const reached = JSON.parse(traced.out).lineage.events.map(({ index }: { index: number }) => index)
  for (const index of [first, first + 1, first + 2]) t.ok(reached.includes(index), `trace finds ${index}`)
})

t.test('a log that lies gets nothing signed, and is refused', async (t) => {
  const real = server.url.replace('/models', '')
  const policy = (await (await fetch(`${server.url}/v1/policy`)).json()) as { index: number }
  const genesis = Buffer.from(await (await fetch(`${server.url}/v1/evidence/0`)).arrayBuffer())
  const event = Buffer.from(await (await fetch(`${server.url}/v1/events/1`)).arrayBuffer())
  const checkpoint = (await (await fetch(`${server.url}/checkpoint`)).text()).replace(
    /\n(\S)/,
    (_, digit) => `\n${digit}0`,
  )
  const { url, questions } = await middle(t, real, async ({ path: asked, method }, forward) => {
    if (method === 'POST') return problem(500, 'X')
    if (asked.endsWith(`v1/evidence/${policy.index}`)) return { status: 200, body: genesis }
    if (asked.endsWith('v1/events/4')) return { status: 200, body: event }
    if (asked.endsWith('/checkpoint')) return { status: 200, body: checkpoint }
    return forward()
  })
  const lies = `${url}/models`
  await programs.expecting(1, ['policy', 'suspend', ...programs.log(lies), '--key', 'admin.key', 'trainer'])
  await programs.expecting(1, ['redact', ...programs.log(lies), '--key', 'admin.key', '4', '--reason', 'x'])
  await programs.expecting(1, ['proof', ...programs.log(lies), '1', ...AWAY])
  t.same(
    questions.filter(({ method }) => method === 'POST'),
    [],
    'nothing was signed and sent',
  )
  const liar = await middle(t, real, async () => ({
    status: 200,
    body: '[{"name":"models","origin":"o\\nlog x","vkey":"o\\nlog x+00+00","genesis":null}]',
  }))
  await t.rejects(programs.expecting(0, ['trust', `${liar.url}/models`, '--out', 'evil.txt']))
  for (const wrong of ['"vkey":{"toString":0},"genesis":null', '"vkey":"x","genesis":{"toString":0}']) {
    const shapeless = await middle(t, real, async () => ({
      status: 200,
      body: `[{"name":"models","origin":"o",${wrong}}]`,
    }))
    await programs.expecting(1, ['trust', `${shapeless.url}/models`, '--out', 'evil.txt'])
  }
  t.notOk(existsSync(programs.path('evil.txt')))
  const screen = await middle(t, real, async () => problem(403, 'UNKNOWN_KEY', 'red \u001b[31m and\nmore'))
  t.match(await programs.expecting(3, ['get', '--log', `${screen.url}/models`, '1']), {
    err: 'red \\u{1b}[31m and\\u{a}more',
  })
})
