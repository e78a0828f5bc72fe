/** A reader who may read one log whole, of another only the tree, of a third nothing: each answer uses what may be read, says what it left out, and shows no more. */
import { IN_TOTO } from '../../src/core/payload.ts'
import { idOf, intruder } from '../client/history.ts'
import { envelope } from '../support/actors.ts'
import { ORIGIN } from '../support/server.ts'
import { check, eventually, must, SERVER, treelineServer } from './lane.ts'
import { type Client, type lostLog, manifest, NEXT, submit, type succeed } from './responder-world.ts'

type Lost = Awaited<ReturnType<typeof lostLog>>
type Next = Awaited<ReturnType<typeof succeed>>

const REASON = 'a reason that stands in a payload'

export async function tokens(client: Client, { trust }: Lost, { data, at, own }: Next): Promise<void> {
  const quarantine = {
    _type: 'https://in-toto.io/Statement/v1',
    subject: [],
    predicateType: 'urn:treeline:quarantine:v1',
    predicate: { origin: ORIGIN, index: 3, reason: REASON },
  }
  // 4 and 5 of the successor, behind its genesis, two events and the suspension.
  await submit(`${at}/next`, manifest('tuned', ['tuned.bin', 'secret.bin']), envelope(IN_TOTO, quarantine, [intruder]))
  const add = async (...flags: string[]) =>
    (await must(process.execPath, [SERVER, 'token', 'add', '--data', data, ...flags])).trim()
  const [one, two, all] = [
    await add('--log', 'test', '--scope', 'payload'),
    await add('--log', 'test', '--scope', 'payload'),
    await add('--log', 'test', '--log', 'next', '--scope', 'payload'),
  ]
  const id = two.slice(3, 11)
  check(
    'a token takes another log with another scope',
    (await add('--log', 'next', '--scope', 'tree', '--to', id)) === '',
  )
  const ask = async (token: string, path: string) => {
    const answer = await fetch(`${at}/${path}`, { headers: { authorization: `Bearer ${token}` } })
    return { status: answer.status, text: await answer.text() }
  }
  const size = async () =>
    JSON.parse((await ask(all, `test/v1/lineage/${idOf('model.bin')}`)).text).logs?.find(
      ({ log }: { log: string }) => log === 'next',
    )?.completeTo
  await eventually('the tokens', async () => ((await ask(two, 'next/checkpoint')).status === 200 ? true : undefined))
  await eventually('the index', async () => ((await size()) === 6 ? true : undefined))
  check('whoever has no token reads nothing', (await fetch(`${at}/test/checkpoint`)).status === 401)

  const path = `test/v1/lineage/${idOf('model.bin')}?direction=down`
  const [narrow, wide, whole] = [await ask(one, path), await ask(two, path), await ask(all, path)]
  check(
    'lineage of whoever may not read a log has nothing of it',
    narrow.status === 200 && !/next|tune/.test(narrow.text),
    narrow.text,
  )
  check('not even that it marks something', !/quarantine/.test(narrow.text) && /quarantine/.test(whole.text) === false)
  const up = (token: string) => ask(token, `test/v1/lineage/${idOf('model.bin')}?direction=up`)
  const marks = [await up(one), await up(two), await up(all)].map(({ text }) => [
    /quarantine/.test(text),
    text.includes(REASON),
  ])
  check(
    'marks of a log are for its readers, their reasons for those of payloads',
    JSON.stringify(marks) === '[[false,false],[true,false],[true,true]]',
    JSON.stringify(marks),
  )
  const logsOf = ({ text }: { text: string }) =>
    JSON.parse(text)
      .logs.map(({ log, payload }: { log: string; payload: boolean }) => `${log} ${payload}`)
      .sort()
      .join()
  check(
    'the answer says what it looked at',
    [narrow, wide, whole].map(logsOf).join('; ') === 'test true; next false,test true; next true,test true',
  )
  check(
    'the steps of a log of which only the tree is open',
    /"urn:treeline:tune:v1"/.test(wide.text) && !/tuned.bin/.test(wide.text) && /tuned.bin/.test(whole.text),
  )
  const secret = await Promise.all([two, all].map((token) => ask(token, `test/v1/lineage/${idOf('secret.bin')}`)))
  check(
    'but not what stands only in its payloads',
    secret.map(({ text }) => JSON.parse(text).events.length).join() === '0,1',
  )
  const status = async (token: string, path: string) => (await ask(token, path)).status
  const refused = [
    `next/v1/lineage/${idOf('model.bin')}`,
    'next/v1/events?text=tuned',
    'next/v1/events',
    'next/checkpoint',
  ]
  check(
    'all of a closed log is refused',
    (await Promise.all(refused.map((path) => status(one, path)))).join() === '403,403,403,403',
  )
  check(
    'of a tree, text and evidence',
    (
      await Promise.all(
        ['next/v1/events?text=tuned', 'next/v1/evidence/1', 'next/v1/events', 'test/v1/events?text=model'].map((path) =>
          status(two, path),
        ),
      )
    ).join() === '403,403,200,200',
  )
  check(
    'a list of logs shows those that may be read',
    !(await ask(one, 'v1/logs')).text.includes(NEXT) && (await ask(two, 'v1/logs')).text.includes(NEXT),
  )

  const both = ['--log', `${at}/test`, '--trust', trust, '--trust', own]
  const traced = ['trace', ...both, client.write('model.bin'), '--down']
  const honest = ({ output }: { output: string }) => !output.includes('FAULT')
  client.token = one
  const closed = [/^1 +test +4 /m, /the answer does not look at next, of which/]
  check(
    'nobody is accused',
    honest(await client.expect('a trace says that it does not look at a log', 0, closed, ...traced)),
  )
  const unread = [
    /next, of which the trust policy has a key, could not be read: .*scope tree/,
    /nothing is left out of the 7 entries of test$/m,
  ]
  check('nobody is accused', honest(await client.expect('nor reads it', 0, unread, ...traced, '--complete')))
  client.token = two
  const gap = [
    /^1 +test +4 /m,
    /NOT SHOWN: the evidence of events 1, 2.* of next takes the scope payload there, which the token lacks/,
    /the server looked at no payload of next/,
    /what is shown is 1 events, .* not all that was found is shown/,
  ]
  check(
    'nobody is accused',
    honest(await client.expect('what only the tree shows is not shown as proved', 1, gap, ...traced)),
  )
  const hidden = [
    /in the payload of events 4, 5 of next are unknown, and what they lead to: the token does not open payloads there/,
  ]
  check(
    'nobody is accused',
    honest(
      await client.expect('and payloads of it are said to be closed', 1, [...gap, ...hidden], ...traced, '--complete'),
    ),
  )
  const next = ['--log', `${at}/next`, '--trust', own]
  const maybe = [
    / 4 {2}event.*may be: the token does not open its payload/,
    /of 1 of them nobody .*\(event 4\)/,
    /server is the same/,
  ]
  await client.expect(
    'a search says which entry may match',
    0,
    maybe,
    'search',
    ...next,
    '--complete',
    '--artifact',
    idOf('secret.bin'),
  )
  const text = [/what entry \d is asked for stands only in its payload: .*scope payload/]
  await client.expect('a search of text takes payloads', 3, text, 'search', ...next, '--complete', '--text', 'tuned')
  await client.expect('also of the server', 3, [/scope payload/], 'search', ...next, '--text', 'tuned')
  await client.expect('a tree is enough for history', 0, [/verified: 6 of/], 'replay', ...next)
  client.token = all
  await client.expect(
    'who may read all sees all',
    0,
    [/^2 +next +4 .*model_signing/m, /verified: /],
    ...traced,
    '--complete',
  )
  client.token = ''
  const listed = await treelineServer('token', 'list', '--data', data)
  check(
    'token list shows both halves',
    listed.output.split('\n').filter((line) => line.startsWith(id)).length === 2,
    listed.output,
  )
  await must(process.execPath, [SERVER, 'token', 'remove', '--data', data, id])
  await eventually('the token is gone', async () => ((await status(two, 'test/checkpoint')) === 401 ? true : undefined))
  check('and token remove takes both', (await status(two, 'next/checkpoint')) === 401)
}
