/** The logs, their events one by one and many, the search, the timeline: what an honest log looks like. */
import type { Browser } from 'playwright-core'
import { check } from '../lane.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

export async function judgeLogs(browser: Browser, { url, trust, size }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url)
  check('a key that nobody confirmed is not called verified', (await explorer.state()) === 'unverified')
  check('and the page says why', (await explorer.text()).includes('This key is not pinned'))
  await explorer.picture('logs-unpinned')
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

export async function judgeEvents(browser: Browser, { url, trust, size, model }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url, { trust })
  check('a page of events is verified', (await explorer.verdict('#/log/models')) === 'verified')
  const rows = await explorer.page.locator('tbody tr[data-state=verified]').count()
  check('each of its entries is', rows === 50, String(rows))
  await explorer.picture('events')
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
  await explorer.picture('event')
  check('the genesis is verified as well', (await explorer.verdict('#/log/models/0')) === 'verified')
  check('the console is empty', explorer.complaints.length === 0, explorer.complaints.join('\n'))
  await explorer.close()
}

export async function judgeSearch(browser: Browser, { url, trust, model }: Shown): Promise<void> {
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
  await explorer.picture('search')
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

export async function judgeTimeline(browser: Browser, { url, trust, size }: Shown): Promise<void> {
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
  await explorer.picture('timeline')
  check('the console is empty', explorer.complaints.length === 0, explorer.complaints.join('\n'))
  await explorer.close()
}
