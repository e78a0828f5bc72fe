/**
 * A server with several logs: one of bytes without a meaning, one that was lost and restored from a copy, in which one event is redacted and the document of
 * another is missing, and the successor that goes on from it. Then the same with a server that lies about each of these.
 */
import { readFileSync } from 'node:fs'
import type { Browser } from 'playwright-core'
import { toBase64, toUtf8 } from '../../../src/core/bytes.ts'
import { formatEvidence, parseEvidence } from '../../../src/core/evidence.ts'
import { IN_TOTO } from '../../../src/core/payload.ts'
import { predecessorOf } from '../../../src/core/predecessor.ts'
import { logFiles } from '../../../src/store/folder.ts'
import { Actor, envelope, redactionRequest } from '../../support/actors.ts'
import { copyOf, listed, restoreInto } from '../../support/copies.ts'
import { makeEventLog } from '../../support/server.ts'
import { check, initRaw, type Server, startServer, tempFolder } from '../lane.ts'
import { judgeLooks } from './access.ts'
import { Liar } from './liar.ts'
import { resource, step } from './log.ts'
import { ExplorerPage } from './page.ts'

const [OLD, NEXT] = ['lane.example/old', 'lane.example/next'] as const
/** In the payload of the event that is redacted, and nowhere else. */
const SECRET = 'quicksilver'
const RAW_ENTRIES = 300
const [REDACTED, LOST] = [2, 3] as const

interface Chained {
  readonly server: Server
  readonly trust: string
  readonly set: string
}

async function post(url: string, type: string, body: string | Uint8Array<ArrayBuffer>): Promise<string> {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body })
  if (!answer.ok) throw new Error(`${url} answered ${answer.status}: ${await answer.text()}`)
  return answer.text()
}

async function startChained(): Promise<Chained> {
  const [administrator, signer] = [new Actor(), new Actor()]
  const rules = [{ actor: signer, name: 'trainer' }]
  const lost = tempFolder()
  const { vkey } = await makeEventLog(lost, [administrator], rules, { name: 'old', origin: OLD })
  const first = await startServer(lost, ['--publish-interval', '50'])
  const submit = (url: string, statement: object) =>
    post(`${url}/v1/events`, 'application/json', envelope(IN_TOTO, statement, [signer]))
  const set = resource('set/old.csv')
  await submit(`${first.url}/old`, step('ingest', set, [], OLD))
  await submit(`${first.url}/old`, step('ingest', resource(`set/${SECRET}.csv`), [], OLD))
  await submit(`${first.url}/old`, step('split', resource('split/old.csv'), [set], OLD))
  const { leafHash } = (await (await fetch(`${first.url}/old/v1/events/${REDACTED}`)).json()) as { leafHash: string }
  const request = redactionRequest(OLD, [{ index: REDACTED, leafHash }], [administrator])
  await post(`${first.url}/old/v1/redactions`, 'application/json', request)
  await first.stop()

  const data = tempFolder()
  const copy = (await copyOf(lost, 'old')).map(({ entry, document }, i) => ({
    entry,
    ...(document && i !== LOST && { document }),
  }))
  await restoreInto(data, lost, 'old', { entries: listed(copy) })
  const note = readFileSync(logFiles(data, 'old').published, 'utf8')
  const { origin, size, root } = predecessorOf(toUtf8(note))
  const change = { successorOf: { origin, size, root: toBase64(root) } }
  const next = await makeEventLog(data, [administrator], rules, { name: 'next', origin: NEXT, change, succeeded: note })
  const raw = await initRaw(data, 'raw', 'lane.example/raw')
  const server = await startServer(data, ['--publish-interval', '50'])
  await submit(`${server.url}/next`, step('train', resource('model/next.json'), [set], NEXT))
  for (let i = 0; i < RAW_ENTRIES; i++)
    await post(
      `${server.url}/raw/add`,
      'application/octet-stream',
      i % 2 ? `line ${i}\n` : Uint8Array.of(0, 255, i & 255),
    )
  const heads = () => fetch(`${server.url}/raw/checkpoint`).then((answer) => answer.text())
  while (!(await heads()).includes(`\n${RAW_ENTRIES}\n`)) await new Promise((resolve) => setTimeout(resolve, 20))
  const trust = `log ${vkey}\nlog ${next.vkey}\nlog ${raw}\nquorum none\n`
  return { server, trust, set: `sha256:${set.digest.sha256}` }
}

export async function judgeChain(browser: Browser): Promise<void> {
  const chained = await startChained()
  const explorer = await ExplorerPage.open(browser, chained.server.url, { trust: chained.trust })
  await judgeSeveral(explorer)
  await judgeRaw(explorer)
  await judgeGone(explorer)
  await explorer.verdict(`#/lineage/${chained.set}?direction=down`)
  const reached = await explorer.page.locator('.rows a').allInnerTexts()
  check(
    'lineage goes on in the log that goes on',
    reached.includes('old 3') && reached.includes('next 1'),
    reached.join(', '),
  )
  await explorer.page.click('text=Build it here')
  await explorer.page.waitForFunction(() => document.body.innerText.includes('Built here from every entry'))
  const built = await explorer.page.locator('.rows a').allInnerTexts()
  check('and does so when it is built from every entry', String(built) === String(reached), built.join(', '))
  check('the console is empty', explorer.complaints.length === 0, explorer.complaints.join('\n'))
  await explorer.close()
  const { server, trust } = chained
  const hashes = ['#/', '#/log/raw', '#/log/raw/254', `#/log/old/${REDACTED}`, `#/log/old/${LOST}`, '#/log/next']
  const looks = [
    { theme: 'light', width: 1200 },
    { theme: 'dark', width: 390 },
  ] as const
  await judgeLooks(
    browser,
    'chain',
    { url: server.url, trust },
    hashes.map((hash) => ({ hash })),
    looks,
  )
  await judgeLies(browser, chained)
  await chained.server.stop()
}

async function judgeSeveral(explorer: ExplorerPage): Promise<void> {
  await explorer.go('#/')
  await explorer.page.waitForFunction(() => document.querySelectorAll('.verdict').length === 3)
  await explorer.page.waitForSelector('text=is that log')
  const text = await explorer.text()
  check('a restored log says what it is', /Restored from a copy .* never signs/.test(text), text)
  check('and where it goes on', /Goes on in\s+next/.test(text), text)
  const steps = await explorer.steps()
  check(
    'what a successor goes on from is verified: by its genesis, and the log that is here',
    steps.get('Its genesis names the log before it') === 'verified' &&
      steps.get('The log old here is that log') === 'verified',
    JSON.stringify([...steps]),
  )
  await explorer.picture('chain-logs')
  await explorer.verdict('#/log/next')
  check('the events of a successor lead back', (await explorer.text()).includes('What came before it is in old'))
}

async function judgeRaw(explorer: ExplorerPage): Promise<void> {
  await explorer.verdict('#/log/raw')
  const rows = await explorer.page.locator('tbody tr').count()
  const text = await explorer.text()
  check('a raw log shows its entries', rows === 50 && /line 299/.test(text) && /00 ff/.test(text), text)
  await explorer.picture('raw')
  await explorer.page.click('text=Older')
  await explorer.page.waitForSelector('a[href="#/log/raw/249"]')
  check('page by page, over the end of a bundle', (await explorer.page.locator('tbody tr').count()) === 50)
  await explorer.verdict('#/log/raw/255')
  const steps = await explorer.steps()
  check('an entry of it has a verified proof', steps.get('Its bytes are in the tree') === 'verified')
  const files = []
  for (const name of ['proof', 'bytes']) {
    const saving = explorer.page.waitForEvent('download')
    await explorer.page.click(`text=Save the ${name}`)
    files.push({ name, bytes: readFileSync(await (await saving).path()) })
  }
  await explorer.picture('raw-entry')
  await explorer.verdict('#/log/raw/timeline?size=257')
  check('and a timeline', (await explorer.page.locator('.rows a').first().innerText()) === '256')
  await explorer.go('#/check')
  await explorer.give(...files)
  const state = () => explorer.page.locator('[data-file=proof] .steps li').first().getAttribute('class')
  check('what is saved of it verifies without the server', (await state()) === 'verified', await explorer.text())
  await explorer.give(files[0]!, { name: 'bytes', bytes: 'line 254\n' })
  check('control: other bytes do not', (await state()) !== 'verified', await explorer.text())
}

async function judgeGone(explorer: ExplorerPage): Promise<void> {
  const seen: string[] = []
  const titled = async (hash: string) => {
    await explorer.verdict(hash)
    seen.push(await explorer.page.content())
    return explorer.steps()
  }
  const redacted = await titled(`#/log/old/${REDACTED}`)
  const text = await explorer.text()
  check('a redacted event says by which entry and why', /Redacted by entry 4, reason “personal-data”/.test(text), text)
  check(
    'that is verified, and so is that it is in the tree',
    redacted.get('Its document was redacted') === 'verified' &&
      redacted.get('Its bytes are in the tree') === 'verified',
    JSON.stringify([...redacted]),
  )
  await explorer.picture('redacted')
  for (const hash of ['#/log/old', '#/log/old/4', `#/log/old?text=${SECRET}`]) await titled(hash)
  check(
    'what it said is on no page',
    !seen.some((html) => html.replaceAll(/(text=|value=")quicksilver/g, '').includes(SECRET)),
  )
  const known = await titled('#/log/old/1')
  check(
    'control: of an event that is not redacted the payload is there, and nothing is missing',
    seen.at(-1)!.includes('set/old.csv') && !known.has('Its document is there'),
  )
  const lost = await titled(`#/log/old/${LOST}`)
  check(
    'a document that is missing in a restored log, and was not redacted, is said to be',
    lost.get('Its document is there') === 'unverified' && (await explorer.text()).includes('no entry redacted it'),
    await explorer.text(),
  )
  await explorer.picture('missing')
}

async function judgeLies(browser: Browser, { server, trust }: Chained): Promise<void> {
  const liar = await Liar.before(server.url)
  const explorer = await ExplorerPage.open(browser, liar.url, { trust })
  const titled = async (hash: string) => {
    await explorer.go('#/trust')
    await explorer.verdict(hash)
    return explorer.steps()
  }
  liar.lie = ({ path, body }) =>
    path.endsWith('/old/v1/events/1')
      ? JSON.stringify({ ...JSON.parse(body.toString()), redacted: { index: 4, reason: 'personal-data' } })
      : undefined
  const claimed = await titled('#/log/old/1')
  check('a redaction that nobody ordered fails', claimed.get('Its document was redacted') === 'failed')
  liar.lie = ({ path, body }) => {
    if (!path.endsWith('/next/v1/evidence/1')) return undefined
    const { addendum: _withheld, ...rest } = parseEvidence(body)
    return Buffer.from(formatEvidence(rest))
  }
  const withheld = await titled('#/log/next/1')
  check(
    'a document that a log withholds fails',
    withheld.get('Its document is there') === 'failed',
    await explorer.text(),
  )
  await explorer.picture('withheld')
  liar.lie = ({ path, body }) => {
    if (!path.includes('/raw/tile/entries/')) return undefined
    const told = Buffer.from(body)
    told[told.length - 1]! ^= 1
    return told
  }
  await titled('#/log/raw')
  check('altered bytes of a raw log fail', (await explorer.state()) === 'failed')
  liar.lie = ({ path, body }) =>
    path === '/v1/logs' ? body.toString().replace(/"size":5,"root":"../, '"size":5,"root":"//') : undefined
  await explorer.page.reload()
  await explorer.go('#/')
  await explorer.page.waitForSelector('text=is that log')
  const steps = await explorer.steps()
  check(
    'a predecessor that the genesis does not name fails',
    steps.get('Its genesis names the log before it') === 'failed' &&
      steps.get('The log old here is that log') === 'failed',
    JSON.stringify([...steps]),
  )
  await explorer.close()
  liar.close()
}
