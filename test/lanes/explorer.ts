/**
 * The explorer in a real browser, before a real log with a witness: every flow, with the network cut where nothing may need it, before a server
 * that lies, by keyboard, on a phone, and judged by axe-core. Pictures of it go to the folder of TREELINE_PICTURES.
 *
 *   npm exec -- node test/lanes/explorer.ts
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { startChromium } from './chromium.ts'
import { aboutLineage, alters, altersBundles, Liar, misdescribes, namesKey, serves, swaps } from './explorer-liar.ts'
import { type Shown, startShown } from './explorer-log.ts'
import { ExplorerPage } from './explorer-page.ts'
import { check, eventually, lane, must, run, SERVER, startServer, tempFolder } from './lane.ts'

/** All files of the page together, gzip, bytes. */
const BUDGET = 200_000
const PICTURES = process.env.TREELINE_PICTURES

const picture = async ({ page }: ExplorerPage, name: string): Promise<void> => {
  if (PICTURES === undefined) return
  mkdirSync(PICTURES, { recursive: true })
  await page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true })
}

async function judgeFiles({ url }: Shown): Promise<void> {
  const page = await fetch(`${url}/`)
  const html = await page.text()
  const policy = page.headers.get('content-security-policy') ?? ''
  check(
    'the policy of the page allows nothing inline and nobody else',
    /default-src 'none'/.test(policy) && !/unsafe|https?:|\*|data:/.test(policy),
    policy,
  )
  check('the page has no inline script or style', !/<script(?![^>]*src=)|<style|style=|\son\w+=/.test(html), html)
  const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path!)
  let total = 0
  for (const path of ['/', ...assets]) {
    const answer = await run('curl', [
      '-s',
      '-H',
      'accept-encoding: gzip',
      '-o',
      '/dev/null',
      '-w',
      '%{size_download} %{content_type}',
      url + path,
    ])
    total += Number(answer.output.split(' ')[0])
    if (path === '/') continue
    const { headers } = await fetch(url + path)
    check(
      `${path.replace(/-\w+\./, '.')} has a type and is kept for ever`,
      /^(text\/(javascript|css)|image\/svg)/.test(headers.get('content-type') ?? '') &&
        /immutable/.test(headers.get('cache-control') ?? ''),
    )
  }
  check(
    `the page and all that it loads are ${total} bytes, below ${BUDGET}`,
    assets.length >= 3 && total > 10_000 && total < BUDGET,
  )
}

async function judgeLogs(browser: Browser, { url, trust, size }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url)
  check('a key that nobody confirmed is not called verified', (await explorer.state()) === 'unverified')
  check('and the page says why', (await explorer.text()).includes('This key is not pinned'))
  await picture(explorer, 'logs-unpinned')
  await explorer.page.click('text=I have compared it')
  await explorer.page.waitForFunction(() => !document.body.innerText.includes('not pinned'))
  check('a pinned key without witnesses is not enough', (await explorer.state()) === 'unverified')
  await explorer.trust(trust)
  check('with the trust file the head is verified', (await explorer.verdict('#/')) === 'verified')
  await explorer.page.waitForSelector('text=The log reports')
  const text = await explorer.text()
  check('the witness is shown with the time of its cosignature', /w cosigned .* UTC, \d+ s ago/.test(text), text)
  check(
    'and how far it says that it has audited',
    /w has cosigned \d+ entries and audited \d+ of them/.test(text),
    text,
  )
  check('the page says how large the log is', text.includes(`${size} under the published head`), text)
  await explorer.page.reload()
  check('trust is remembered', (await explorer.state()) === 'verified')
  check('the console is empty', explorer.complaints.length === 0, explorer.complaints.join('\n'))
  await explorer.page.evaluate(() => document.body.insertAdjacentHTML('beforeend', '<p>x</p>')).catch(() => {})
  await explorer.page.evaluate(() => {
    const image = document.createElement('img')
    image.src = 'https://elsewhere.example/x'
    document.body.append(image)
  })
  await explorer.page.waitForTimeout(200)
  check(
    'control: a page that breaks its policy complains',
    explorer.complaints.some((one) => one.startsWith('policy: img-src')),
    explorer.complaints.join('\n'),
  )
  await explorer.close()
}

async function judgeEvents(browser: Browser, { url, trust, size, model }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url, { trust })
  check('a page of events is verified', (await explorer.verdict('#/log/models')) === 'verified')
  const rows = await explorer.page.locator('tbody tr[data-state=verified]').count()
  check('each of its entries is', rows === 50, String(rows))
  await picture(explorer, 'events')
  await explorer.page.click('text=Oldest first')
  await explorer.page.waitForSelector('a[href="#/log/models/0"]')
  check('the oldest are verified too', (await explorer.state()) === 'verified')
  check('an entry of the middle is', (await explorer.verdict(`#/log/models?from=${size - 60}`)) === 'verified')

  check('one event is verified', (await explorer.verdict(`#/log/models/${model.index}`)) === 'verified')
  const steps = await explorer.page.locator('.steps li').evaluateAll((all) => all.map((one) => one.className))
  check(
    'each step of it is',
    steps.length >= 6 && steps.every((state) => state === 'verified' || state === 'absent'),
    steps.join(),
  )
  check(
    'it says who signed, and between which cosignatures',
    /trainer[\s\S]*Witnesses: after .* not later than/.test(await explorer.text()),
    await explorer.text(),
  )
  const shown = (await explorer.page.locator('.payload').textContent()) ?? ''
  const made = await explorer.page.evaluate(() => [
    document.querySelectorAll('main img, main script').length,
    'ran' in window,
  ])
  check('markup in a payload is text', shown.includes('<script>window.ran') && String(made) === '0,false', String(made))
  const nodes = await explorer.page.locator('.path .node').count()
  check(
    'the way to the root is drawn',
    nodes === 2 * Math.ceil(Math.log2(size)) + 1,
    `${nodes} nodes for ${size} entries`,
  )
  await picture(explorer, 'event')
  check('the genesis is verified as well', (await explorer.verdict('#/log/models/0')) === 'verified')
  check('the console is empty', explorer.complaints.length === 0, explorer.complaints.join('\n'))
  await explorer.close()
}

async function judgeSearch(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url, { trust })
  const found = () => explorer.page.locator('tbody tr').count()
  await explorer.go('#/log/models')
  await explorer.page.click('summary:has-text("Search")')
  await explorer.page.fill('input[name=artifact]', model.id)
  await explorer.page.press('input[name=artifact]', 'Enter')
  await explorer.page.waitForFunction(() => location.hash.includes('artifact='))
  await explorer.page.waitForFunction(() => document.querySelectorAll('tbody tr').length < 10)
  check('a search by artifact is verified', (await explorer.state()) === 'verified')
  check('it finds what made it, judged it and released it', (await found()) === 4, String(await found()))
  check('and says whose word it is that nothing is left out', (await explorer.text()).includes('is its word'))
  await picture(explorer, 'search')
  check(
    'a search by the beginning of a type is, too',
    (await explorer.verdict('#/log/models?type=urn:treeline:pipeline:tr*')) === 'verified',
  )
  await explorer.verdict('#/log/models?text=forest-7')
  check('a search in payloads finds them', (await found()) >= 3, String(await found()))
  await explorer.go('#/log/models?since=never')
  await explorer.quiet()
  check('what cannot be searched by is said', (await explorer.text()).includes('cannot search by that'))
  await explorer.verdict(`#/log/models/${model.index}`)
  await explorer.page.waitForSelector('.flag')
  const text = await explorer.text()
  check('a quarantined entry says so', /Quarantined by models \d+: trained on data that was withdrawn/.test(text), text)
  await explorer.close()
}

async function judgeTimeline(browser: Browser, { url, trust, size }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url, { trust })
  const { page } = explorer
  check('the log as of any size is verified', (await explorer.verdict('#/log/models/timeline?size=100')) === 'verified')
  check('its last entry is the right one', (await page.locator('.rows a').first().innerText()) === '99')
  await page.locator('#size').focus()
  await page.keyboard.press('ArrowRight')
  await page.waitForSelector('.rows a:has-text("100")')
  check('the arrow keys move the slider', (await explorer.state()) === 'verified')
  await page.keyboard.press('End')
  await page.waitForSelector(`.rows a:has-text("${size - 1}")`)
  check('the end is the published head', (await explorer.state()) === 'verified')
  check('the address says where one is', page.url().endsWith(`timeline?size=${size}`), page.url())
  await picture(explorer, 'timeline')
  check('the console is empty', explorer.complaints.length === 0, explorer.complaints.join('\n'))
  await explorer.close()
}

async function judgeOffline(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const evidence = await (await fetch(`${url}/models/v1/evidence/${model.index}`)).text()
  const explorer = await ExplorerPage.open(browser, url, { trust })
  await explorer.go('#/check')
  const report = await makeReport(url, trust, model.id)
  await explorer.context.setOffline(true)
  explorer.requests.length = 0
  await explorer.give({ name: 'model.tlog-proof', bytes: evidence })
  check('evidence is verified with the network cut', (await explorer.state()) === 'verified', await explorer.text())
  await picture(explorer, 'evidence')
  await explorer.go('#/trust')
  const file = join(tempFolder(), 'model.tlog-proof')
  writeFileSync(file, evidence)
  await explorer.drop(file)
  check(
    'a file dropped on another view is, too',
    page(explorer).endsWith('#/check') && (await explorer.state()) === 'verified',
  )
  const at = evidence.indexOf('extra ') + 300
  const tampered = `${evidence.slice(0, at)}${evidence[at] === 'A' ? 'B' : 'A'}${evidence.slice(at + 1)}`
  await explorer.give({ name: 'tampered.tlog-proof', bytes: tampered })
  check('one changed letter and it fails', (await explorer.state()) === 'failed')
  await picture(explorer, 'evidence-tampered')
  await explorer.give({ name: 'receipt.json', bytes: model.receipt })
  check('a receipt alone is not called verified', (await explorer.state()) === 'unverified', await explorer.text())
  await explorer.give({ name: 'receipt.json', bytes: model.receipt }, { name: 'envelope.json', bytes: model.envelope })
  check('a receipt is verified with what was sent', (await explorer.state()) === 'verified', await explorer.text())
  const other = JSON.stringify({ ...JSON.parse(model.envelope), payloadType: 'application/cloudevents+json' })
  await explorer.give({ name: 'receipt.json', bytes: model.receipt }, { name: 'envelope.json', bytes: other })
  check('and fails with anything else', (await explorer.state()) === 'failed', await explorer.text())
  await explorer.give(
    { name: 'proof', bytes: evidence },
    { name: 'forest.json', bytes: model.bytes },
    { name: 'trust.txt', bytes: trust },
  )
  check(
    'a file beside evidence is what the evidence names',
    /It is about forest.json[\s\S]*names its SHA-256/.test(await explorer.text()),
  )
  await explorer.drop(report)
  check('a report folder is verified', (await explorer.state()) === 'verified', await explorer.text())
  check(
    'with all of its evidence',
    (await explorer.page.locator('[data-file$=".tlog-proof"] .verdict.verified').count()) === 3,
  )
  await picture(explorer, 'report')
  const json = join(report, 'report.json')
  const honest = readFileSync(json, 'utf8')
  writeFileSync(json, honest.replace('"role": "consumed"', '"role": "produced"'))
  await explorer.drop(report)
  check('one word of it changed and it fails', (await explorer.state()) === 'failed', await explorer.text())
  writeFileSync(json, honest)
  rmSync(join(report, 'evidence', readdirSync(join(report, 'evidence'))[0]!))
  await explorer.drop(report)
  check('evidence taken out of it and it fails', (await explorer.state()) === 'failed', await explorer.text())
  // The browser asks for the icon of its own accord, of the server that the page is from.
  const requests = explorer.requests.filter((path) => !/\/assets\/icon-[^/]+\.svg$/.test(path))
  check('nothing of this made a request', requests.length === 0, requests.join('\n'))
  await explorer.context.setOffline(false)
  await explorer.give({ name: 'forest.json', bytes: model.bytes })
  check(
    'control: another file is looked up, and the request is seen',
    explorer.requests.some((path) => path.includes(model.id)),
    explorer.requests.join('\n'),
  )
  check('the digest was computed here', (await explorer.text()).includes(model.id.slice(7)))
  await explorer.close()
  const stranger = await ExplorerPage.open(browser, url)
  await stranger.go('#/check')
  await stranger.give({ name: 'model.tlog-proof', bytes: evidence })
  check('evidence under a key that nobody pinned is not called verified', (await stranger.state()) === 'unverified')
  await stranger.close()
}

/** What the artifact reached, as `treeline trace` writes it; returns the folder. */
async function makeReport(url: string, trust: string, id: string): Promise<string> {
  const folder = tempFolder()
  const file = join(folder, 'trust.txt')
  writeFileSync(file, trust)
  const report = join(folder, 'report')
  const flags = ['--log', `${url}/models`, '--trust', file, '--state', join(folder, 'state'), '--report', report]
  await must(process.execPath, ['cmd/treeline.ts', 'trace', '--down', ...flags, id])
  return report
}

const page = (explorer: ExplorerPage): string => explorer.page.url()

async function judgeLineage(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url, { trust })
  await explorer.go(`#/lineage/${model.id}?direction=both`)
  await explorer.quiet()
  await explorer.page.click('text=Build it here')
  await explorer.page.waitForFunction(() => document.body.innerText.includes('Built here from every entry'))
  check('a lineage built from every entry is verified', (await explorer.state()) === 'verified', await explorer.text())
  const events = await explorer.page.locator('.lineage a.event').count()
  check('it has every event of the run, and the release far after it', events === 6, String(events))
  await picture(explorer, 'lineage')
  check('the event that was quarantined is marked', (await explorer.page.locator('.lineage a.marked').count()) === 1)
  const before = await explorer.page.locator('.lineage > svg').getAttribute('viewBox')
  await explorer.page.locator('.lineage > svg').focus()
  await explorer.page.keyboard.press('+')
  check('it zooms by the keyboard', (await explorer.page.locator('.lineage > svg').getAttribute('viewBox')) !== before)
  await explorer.close()
}

/** One key, two histories: the log, and a copy of its folder that goes another way. */
async function judgeFork(browser: Browser, { data, vkey, submit }: Shown): Promise<void> {
  const copy = join(tempFolder(), 'copy')
  cpSync(data, copy, { recursive: true })
  const [one, other] = [await startServer(data), await startServer(copy)]
  await submit(one.url, 'raw/for-one')
  await submit(other.url, 'raw/for-another')
  await submit(other.url, 'raw/and-more')
  const head = async (url: string, size: number) => {
    const note = await (await fetch(`${url}/models/checkpoint`)).text()
    return note.includes(`\n${size}\n`) || undefined
  }
  await eventually('both heads', async () => (await head(one.url, 304)) && (await head(other.url, 305)))
  const liar = await Liar.before(one.url)
  const trust = `log ${vkey}\nquorum none\n`
  const explorer = await ExplorerPage.open(browser, liar.url, { trust })
  await explorer.verdict('#/')
  const first = await explorer.text()
  check('there is nothing against the first of two histories', /304 under/.test(first) && !/failed/.test(first), first)
  liar.upstream = other.url
  await explorer.page.reload()
  const second = await explorer.state()
  const text = await explorer.text()
  check('the second fails', second === 'failed' && text.includes('two histories'), text)
  await picture(explorer, 'lie-fork')
  const saving = explorer.page.waitForEvent('download')
  await explorer.page.click('text=Save the evidence')
  const folder = tempFolder()
  const [fault, trusted] = [join(folder, 'models.fault'), join(folder, 'trust.txt')]
  await (await saving).saveAs(fault)
  writeFileSync(trusted, trust)
  const judged = await run(process.execPath, ['cmd/treeline.ts', 'verify', '--trust', trusted, fault])
  check(
    'treeline verify takes the saved evidence for what it is',
    /a fault is proved: .* is no part of/.test(judged.output),
    judged.output,
  )
  await explorer.drop(fault)
  check('and so does the page', (await explorer.state()) === 'verified', await explorer.text())
  await explorer.close()
  liar.close()
  await one.stop()
  await other.stop()
}

async function judgeTokens(browser: Browser, { data }: Shown): Promise<void> {
  const token = async (scope: string) =>
    (await must(process.execPath, [SERVER, 'token', 'add', '--data', data, '--log', 'models', '--scope', scope]))
      .trim()
      .split(/\s+/)
      .at(-1)!
  const [tree, payload] = [await token('tree'), await token('payload')]
  const server = await startServer(data)
  const explorer = await ExplorerPage.open(browser, server.url)
  await explorer.page.waitForSelector('form input[type=password]')
  check(
    'a server with tokens is asked for nothing before one is given',
    (await explorer.text()).includes('This server asks who is reading'),
  )
  await picture(explorer, 'token')
  const enter = async (text: string) => {
    await explorer.page.fill('input[type=password]', text)
    await explorer.page.click('text=Use it')
    await explorer.quiet()
  }
  await enter(tree)
  await explorer.verdict('#/log/models/3')
  check(
    'without the scope payload the signature is said to be unchecked',
    (await explorer.text()).includes('takes a token with the scope payload'),
  )
  await explorer.page.reload()
  await explorer.page.waitForSelector('form input[type=password]')
  check('the token is gone with the page', true)
  await enter(payload)
  await explorer.verdict('#/log/models/3')
  check('with it the payload is shown', (await explorer.text()).includes('Signed payload'))
  const stored = await explorer.page.evaluate(() => JSON.stringify({ ...localStorage, ...sessionStorage }))
  check('no token is stored', !stored.includes(payload))
  await explorer.close()
  await server.stop()
}

async function judgeLies(browser: Browser, { url, trust, model, vkey }: Shown): Promise<void> {
  const liar = await Liar.before(url)
  const explorer = await ExplorerPage.open(browser, liar.url, { trust })
  const verdict = async (hash: string): Promise<string> => {
    await explorer.go('#/trust')
    return explorer.verdict(hash)
  }
  const events = '#/log/models?order=asc'
  check('control: passed on unchanged, the list is verified', (await verdict(events)) === 'verified')
  liar.lie = alters(model.index)
  check('an altered event fails in the list', (await verdict(events)) === 'failed')
  check('and the list names it', (await explorer.text()).includes(`asked for: ${model.index}.`), await explorer.text())
  await picture(explorer, 'lie-altered')
  check('it fails by itself', (await verdict(`#/log/models/${model.index}`)) === 'failed')
  await picture(explorer, 'lie-event')
  check('its neighbour does not', (await verdict(`#/log/models/${model.index + 1}`)) === 'verified')
  liar.lie = swaps(4, 5)
  check(
    'two events in each other’s place fail',
    (await verdict(events)) === 'failed' && /asked for: 5, 4\./.test(await explorer.text()),
    await explorer.text(),
  )
  liar.lie = misdescribes(model.index)
  check(
    'a description that is not that of the bytes fails',
    (await verdict(`#/log/models/${model.index}`)) === 'failed',
  )
  check(
    'and the bytes are what is shown',
    (await explorer.text()).includes('pipeline:train:v1') && !(await explorer.text()).includes('harmless'),
  )
  liar.lie = altersBundles
  await explorer.go(`#/lineage/${model.id}?direction=down`)
  await explorer.quiet()
  await explorer.page.click('text=Build it here')
  await explorer.page.waitForSelector('.problem')
  check(
    'altered bundles make no lineage',
    /are not those of the head that it signed|not a/.test(await explorer.text()),
    await explorer.text(),
  )

  const answers = await (await fetch(`${url}/models/v1/events?limit=5`)).text()
  liar.lie = ({ path }) => (path.includes('artifact=') ? answers : undefined)
  check(
    'an answer that is not to the question fails',
    (await verdict(`#/log/models?artifact=${model.id}`)) === 'failed',
    await explorer.text(),
  )

  liar.lie = undefined
  const old = (await (await fetch(`${url}/models/v1/evidence/10`)).text()).split('\n\n').slice(1).join('\n\n')
  liar.lie = serves('/checkpoint', old)
  await explorer.page.reload()
  check('an old head fails', (await verdict('#/')) === 'failed')
  check('and the page says what it saw before', (await explorer.text()).includes('and this browser has seen one of'))
  await picture(explorer, 'lie-old-head')
  liar.lie = undefined
  await explorer.page.reload()
  check('control: the honest head is verified again', (await verdict('#/')) === 'verified')

  const stranger = await ExplorerPage.open(browser, liar.url)
  await stranger.state()
  await stranger.page.click('text=I have compared it')
  await stranger.quiet()
  const foreign = vkey.replace(/\+.*/, '+b62371a1+AYiB2tLDJcIpR7Vx4hT0NRUtjs0qRvTyIE9mqSaYHJGd')
  liar.lie = namesKey(foreign)
  await stranger.page.reload()
  const text = await stranger.text()
  check('a server that names another key does not move the pinned one', !text.includes(foreign), text)
  await stranger.close()
  await explorer.close()
  liar.close()
}

async function judgeLineageLies(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const liar = await Liar.before(url)
  const explorer = await ExplorerPage.open(browser, liar.url, { trust })
  const verdict = async (): Promise<string> => {
    await explorer.go('#/trust')
    return explorer.verdict(`#/lineage/${model.id}?direction=down`)
  }
  check('the lineage that the server tells is verified', (await verdict()) === 'verified', await explorer.text())
  check('its artifacts have names', (await explorer.text()).includes('model/forest-0.json'))
  await picture(explorer, 'lineage-told')
  liar.lie = aboutLineage(({ edges }) => {
    edges.push({ ...edges[0]!, artifact: edges.at(-1)!.artifact, role: 'produced' })
  })
  check('an invented edge fails', (await verdict()) === 'failed', await explorer.text())
  liar.lie = aboutLineage((document) => {
    const gone = document.edges.find(({ role }) => role === 'produced')
    document.edges.splice(document.edges.indexOf(gone!), 1)
  })
  check('a hidden edge fails', (await verdict()) === 'failed', await explorer.text())
  liar.lie = aboutLineage(({ events }) => {
    ;(events[0] as { marks?: object[] }).marks = [{ log: 'models', index: 5, kind: 'quarantine', reason: 'slander' }]
  })
  check(
    'a mark that nobody set fails',
    (await verdict()) === 'failed' && (await explorer.text()).includes('is said to mark'),
    await explorer.text(),
  )
  liar.lie = alters(model.index + 1)
  check('an altered event fails', (await verdict()) === 'failed', await explorer.text())
  await explorer.close()
  liar.close()
}

async function judgeAccess(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const views = [
    '#/',
    '#/log/models',
    `#/log/models/${model.index}`,
    '#/log/models/timeline?size=77',
    '#/check',
    '#/trust',
    `#/lineage/${model.id}?direction=both`,
  ]
  for (const theme of ['light', 'dark'] as const) {
    for (const width of [1200, 390]) {
      const explorer = await ExplorerPage.open(browser, url, { theme, width, trust })
      const findings: string[] = []
      const wide: string[] = []
      for (const view of views) {
        await explorer.go(view)
        await explorer.quiet()
        if (view.startsWith('#/lineage')) {
          await explorer.state()
        }
        for (const one of await explorer.page.locator('main details:not([open]) > summary').all()) await one.click()
        findings.push(...(await explorer.findings()).map((one) => `${view} ${one}`))
        if ((await explorer.overflow()) > 0) wide.push(view)
        await picture(explorer, `${theme}-${width}-${view.replace(/\W+/g, '-').slice(0, 30)}`)
      }
      check(`axe finds nothing serious, ${theme}, ${width} px`, findings.length === 0, findings.join('\n'))
      check(`nothing is wider than the window, ${theme}, ${width} px`, wide.length === 0, wide.join('\n'))
      if (theme === 'dark' && width === 390) await controls(explorer)
      await explorer.close()
    }
  }
}

async function controls(explorer: ExplorerPage): Promise<void> {
  await explorer.page.evaluate(() => {
    const image = document.createElement('img')
    image.style.width = '2000px'
    document.querySelector('main')!.append(image)
  })
  check(
    'control: axe finds a picture without a text',
    (await explorer.findings()).some((one) => one.startsWith('image-alt')),
  )
  check('control: a wide picture is noticed', (await explorer.overflow()) > 0)
}

async function judgeKeyboard(browser: Browser, { url, trust }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url, { trust })
  const { page: tab } = explorer
  await tab.goto(`${url}/#/`)
  await tab.reload()
  await explorer.state()
  const focused = () => tab.evaluate(() => document.activeElement?.textContent ?? '')
  await tab.keyboard.press('Tab')
  check('the first key leads past the navigation', (await focused()).includes('Skip to the content'), await focused())
  await tab.keyboard.press('Enter')
  check('and it does', await tab.evaluate(() => document.activeElement?.id === 'main'))
  for (let i = 0; i < 12 && (await focused()) !== 'Events'; i++) await tab.keyboard.press('Tab')
  await tab.keyboard.press('Enter')
  await tab.waitForSelector('h1:has-text("Events of models")')
  check('a log opens by the keyboard', true)
  check('and what has the focus is the new view', await tab.evaluate(() => document.activeElement?.id === 'main'))
  await explorer.close()
}

await lane(async () => {
  await must('npm', ['run', '--silent', 'build:needed'])
  const browser = await startChromium()
  const shown = await startShown()
  try {
    await judgeFiles(shown)
    await judgeLogs(browser, shown)
    await judgeEvents(browser, shown)
    await judgeSearch(browser, shown)
    await judgeTimeline(browser, shown)
    await judgeOffline(browser, shown)
    await judgeLineage(browser, shown)
    await judgeLineageLies(browser, shown)
    await judgeLies(browser, shown)
    await judgeAccess(browser, shown)
    await judgeKeyboard(browser, shown)
    await shown.stop()
    await judgeFork(browser, shown)
    await judgeTokens(browser, shown)
  } finally {
    await browser.close()
  }
})
