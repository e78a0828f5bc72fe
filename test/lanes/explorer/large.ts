/** A large history: nothing may hold the page, what is long can be watched and ended, what is too much is cut and said to be, and the answers are the true ones. */
import type { Browser } from 'playwright-core'
import { Actor } from '../../support/actors.ts'
import { makeHistory, type TrueEvent, writeHistory } from '../../support/history.ts'
import { makeEventLog } from '../../support/server.ts'
import { check, eventually, type Server, startServer, tempFolder } from '../lane.ts'
import { ExplorerPage } from './page.ts'

const EVENTS = 60_000
/** Of a task of the page, ms: reading all at once took three times as long alone. */
const MOST_HELD = 500
/** After the whole of both logs was read: their entries are 20 MB. */
const MOST_MEMORY = 80 * 2 ** 20

interface Large {
  readonly server: Server
  readonly trust: string
  readonly events: readonly TrueEvent[]
  /** A key, and the moment from which the policy doubts it. */
  readonly key: string
  readonly since: number
}

async function startLarge(): Promise<Large> {
  const actors = Array.from({ length: 40 }, () => new Actor())
  const keys = actors.map(({ key }) => key.id)
  const events = makeHistory(EVENTS, keys, Date.now() - 3 * 86_400_000)
  const key = events.at(-200)!.key
  const since = events.at(-2_000)!.time
  const data = tempFolder()
  let trust = ''
  for (const name of ['data', 'models']) {
    const rules = actors.map((actor, i) => ({
      ...{ actor, name: `signer-${i}`, shared: true },
      ...(actor.key.id === key && { suspended: { since: since + 1_000, compromisedSince: since } }),
    }))
    const { vkey } = await makeEventLog(data, [new Actor()], rules, { name, origin: `log.example/${name}` })
    trust += `log ${vkey}\n`
  }
  await writeHistory(data, events)
  const server = await startServer(data, ['--log-level', 'error'])
  for (const name of ['data', 'models'])
    await eventually(
      `the index of ${name}`,
      async () => {
        const answer = await fetch(`${server.url}/${name}/v1/events?kind=genesis`)
        const { completeTo } = (await answer.json()) as { completeTo: number }
        return completeTo === events.filter(({ log }) => log === name).length + 1 || undefined
      },
      180,
    )
  return { server, trust: `${trust}quorum none\n`, events, key, since }
}

/** What the key signed from then on and what came of it, walked by hand, an artifact at a time; `manifests`: also through what stands only in payloads. */
function reached({ events, key }: Large, since: number, manifests: boolean): Set<string> {
  const touching = Map.groupBy(
    events.flatMap((event) => event.edges.map(({ role, artifact }) => ({ event, role, artifact }))),
    ({ artifact }) => artifact,
  )
  const name = ({ log, index }: TrueEvent) => `${log} ${index}`
  const seeds = events.filter((event) => event.key === key && event.time >= since)
  const found = new Set(seeds.map(name))
  const made = ({ edges }: TrueEvent, ...roles: string[]) =>
    edges.filter(({ role }) => roles.includes(role)).map(({ artifact }) => artifact)
  const artifacts = new Set(seeds.flatMap((event) => made(event, 'produced')))
  // A set grows while it is gone through.
  for (const artifact of artifacts) {
    for (const { event, role } of touching.get(artifact)!) {
      if (role === 'produced' || (role === 'file' && !manifests)) continue
      found.add(name(event))
      const next =
        role === 'consumed' ? made(event, 'produced') : role === 'file' ? made(event, 'produced', 'examined') : []
      for (const one of next) artifacts.add(one)
    }
  }
  return found
}

export async function judgeLarge(browser: Browser): Promise<void> {
  const large = await startLarge()
  const explorer = await ExplorerPage.open(browser, large.server.url, { trust: large.trust })
  await judgeViews(explorer)
  await judgeKey(explorer, large)
  await judgeScan(explorer, large)
  check('the console is empty', explorer.complaints.length === 0, explorer.complaints.join('\n'))
  await explorer.page.evaluate(() => {
    setTimeout(() => {
      for (const end = performance.now() + 700; performance.now() < end; );
    })
  })
  await explorer.page.waitForTimeout(1_000)
  check('control: a page that is held is noticed', (await explorer.longestTask()) > MOST_HELD)
  await explorer.close()
  await large.server.stop()
}

async function judgeViews(explorer: ExplorerPage): Promise<void> {
  const { page } = explorer
  await explorer.verdict('#/log/models?from=20000')
  check('an old page of a large log is read', (await page.locator('tbody tr').first().innerText()).includes('20000'))
  await explorer.verdict('#/log/models/timeline')
  explorer.requests.length = 0
  await page.locator('#size').evaluate((slider: HTMLInputElement) => {
    for (let i = 1; i <= 30; i++) {
      slider.value = String(i * 1_000)
      slider.dispatchEvent(new Event('input', { bubbles: true }))
    }
  })
  await page.waitForSelector('.rows a:has-text("29999")')
  check(
    'a slider that is dragged does not ask at every step',
    explorer.requests.length < 100,
    `${explorer.requests.length} requests`,
  )
  const held = await explorer.longestTask()
  check(`lists and time travel hold the page for ${held} ms at most`, held <= MOST_HELD)
}

const listed = async ({ page }: ExplorerPage): Promise<string[]> =>
  page.locator('section[aria-labelledby=steps] .rows li > a').allInnerTexts()

const same = (told: readonly string[], truth: ReadonlySet<string>): boolean =>
  told.length === truth.size && told.every((one) => truth.has(one))

async function judgeKey(explorer: ExplorerPage, large: Large): Promise<void> {
  const { events, key, since } = large
  const { page } = explorer
  const day = (ms: number) => new Date(ms).toISOString()
  await explorer.verdict(`#/lineage/key:${key}?direction=down`)
  await page.waitForSelector('.lineage')
  const text = await explorer.text()
  check(
    'the policy says from when on a key is doubted',
    text.includes(`compromised since ${day(since)}`),
    text.slice(0, 600),
  )
  const truth = reached(large, since, true)
  check(
    `what it reached since then are ${truth.size} events, by the server`,
    truth.size > 10 && same(await listed(explorer), truth) && !text.includes('There is more'),
    `${(await listed(explorer)).length} are listed`,
  )
  await explorer.picture('large-key')
  const later = events.findLast((event) => event.key === key)!.time
  await page.fill('input[name=since]', day(later))
  await page.click('button:has-text("Show")')
  const after = reached(large, later, true)
  // Between two answers the list is empty for a moment: one that never comes to be as long as it should fails below.
  await page
    .waitForFunction(
      (count) => document.querySelectorAll('section[aria-labelledby=steps] .rows li > a').length === count,
      after.size,
      { timeout: 15_000 },
    )
    .catch(() => {})
  await explorer.quiet()
  const told = await listed(explorer)
  check('another time is another answer', same(told, after), `${told.length} are listed, not ${after.size}`)
  await page.fill('input[name=since]', '')
  await page.click('button:has-text("Show")')
  await page.waitForSelector('text=There is more than this')
  const nodes = await page.locator('.lineage a.node').count()
  const caption = await page.locator('figcaption').innerText()
  check(
    'all that a key ever signed is cut, said to be, and drawn in part',
    nodes <= 120 && /the 120 nearest of 400/.test(caption) && (await listed(explorer)).length > 120,
    `${nodes} nodes; ${caption}`,
  )
  await explorer.picture('large-cut')
  const held = await explorer.longestTask()
  check(`a large graph holds the page for ${held} ms at most`, held <= MOST_HELD)
}

async function judgeScan(explorer: ExplorerPage, large: Large): Promise<void> {
  const { key, since } = large
  const { page } = explorer
  await explorer.verdict(`#/lineage/key:${key}?direction=down`)
  await page.click('text=Build it here')
  const done = () => page.locator('progress').evaluate((bar: HTMLProgressElement) => bar.value)
  const progress = async (past: number) =>
    page.waitForFunction((least) => (document.querySelector('progress')?.value ?? 0) > least, past)
  await progress(0)
  const first = await done()
  await progress(first + 5_000)
  await explorer.picture('large-reading')
  check('reading every entry shows how far it is', (await explorer.text()).includes('of '))
  await page.click('text=Cancel')
  await page.waitForSelector('.lineage')
  const bundles = () => explorer.requests.filter((path) => path.includes('/tile/entries/')).length
  const asked = bundles()
  await page.waitForTimeout(300)
  check('it can be ended, and then asks no more', asked > 0 && bundles() === asked, `${asked}, then ${bundles()}`)
  const began = performance.now()
  await page.click('text=Build it here')
  await page.waitForFunction(() => document.body.innerText.includes('Built here from every entry'), undefined, {
    timeout: 90_000,
  })
  console.log(`  ${EVENTS} entries read and hashed in ${((performance.now() - began) / 1000).toFixed(1)} s`)
  const truth = reached(large, since, false)
  check(
    `built from every entry, there are ${truth.size} events`,
    same(await listed(explorer), truth),
    `${(await listed(explorer)).length} are listed`,
  )
  const held = await explorer.longestTask()
  check(`that holds the page for ${held} ms at most`, held <= MOST_HELD)
  const memory = await explorer.memory()
  check(`and its memory is ${(memory / 2 ** 20).toFixed(0)} MiB`, memory < MOST_MEMORY)
  const before = bundles()
  // Everything that is listed here was made by somebody; not everything was used.
  await page.locator('.links a:has-text("where it came from")').first().click()
  await page.waitForFunction(() => document.querySelector('h1')!.innerText.includes('artifact'))
  await page.waitForFunction(() => document.body.innerText.includes('Built here from every entry'))
  check('what was read answers the next question too', bundles() === before, `${bundles() - before} more`)
}
