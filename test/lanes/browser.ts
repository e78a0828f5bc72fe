/**
 * The pages of the server in a real browser; and the core in one, under the Content-Security-Policy of the explorer: serves it with its types stripped,
 * opens it in Chromium, and compares every verdict with Node's. Run by hand or by CI, with Debian's package installed
 * when it is missing:
 *
 *   npm exec -- node test/lanes/browser.ts
 */
import { createHash } from 'node:crypto'
import { existsSync, readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { stripTypeScriptTypes } from 'node:module'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import type { Browser, Page } from 'playwright-core'
import { startChromium } from './chromium.ts'
import { check, initRaw, lane, ROOT, startServer, tempFolder } from './lane.ts'
import { allVerdicts, type Verdict } from './verdicts.ts'

const IMPORT_MAP = JSON.stringify({
  imports: {
    '#platform': '/src/core/platform.web.ts',
    '@noble/ed25519': '/node_modules/@noble/ed25519/index.js',
    '@noble/': '/node_modules/@noble/',
    'cbor-x/index-no-eval': '/cbor-x.js',
  },
})
const IMPORT_MAP_HASH = createHash('sha256').update(IMPORT_MAP).digest('base64')
// The hash admits this one inline script; everything else, eval included, stays shut out.
const POLICY = `default-src 'self'; script-src 'self' 'sha256-${IMPORT_MAP_HASH}'`
const PAGE = `<!doctype html><meta charset="utf-8"><title>core</title>
<script type="importmap">${IMPORT_MAP}</script><script type="module" src="/test/lanes/page.ts"></script>`

// The package's build for pages is a script that sets a global.
const CBOR_X = `import '/node_modules/cbor-x/dist/index-no-eval.cjs'
export const { Encoder } = globalThis.CBOR`

const SERVED = /^\/(src\/core|test\/lanes|test\/vectors|node_modules\/(@noble|cbor-x))\/[\w@./-]+\.(ts|js|cjs|json)$/

/** Media type and body, or undefined for what is not served. */
function content(path: string): { type: string; body: string } | undefined {
  if (path === '/') return { type: 'text/html', body: PAGE }
  if (path === '/cbor-x.js') return { type: 'text/javascript', body: CBOR_X }
  const file = join(ROOT, path)
  if (!SERVED.test(path) || !existsSync(file)) return undefined
  const source = readFileSync(file, 'utf8')
  if (path.endsWith('.json')) return { type: 'application/json', body: source }
  return { type: 'text/javascript', body: path.endsWith('.ts') ? stripTypeScriptTypes(source) : source }
}

function serve({ url = '/' }: IncomingMessage, response: ServerResponse): void {
  const { pathname } = new URL(url, 'http://localhost')
  const served = content(pathname)
  // Chromium asks for an icon, and a 404 would stand in the console among the complaints that we count.
  if (served === undefined) response.writeHead(pathname === '/favicon.ico' ? 204 : 404).end()
  else response.writeHead(200, { 'content-type': served.type, 'content-security-policy': POLICY }).end(served.body)
}

interface PageResult {
  readonly error?: string
  readonly evaluates?: boolean
  /** Of the Content-Security-Policy, by the modules under test. */
  readonly violations?: readonly string[]
  readonly verdicts?: readonly Verdict[]
}

/** Opens a page; what the console and the page itself complain of is gathered. */
async function openPage(browser: Browser, url: string): Promise<{ page: Page; complaints: string[] }> {
  const page = await browser.newPage()
  const complaints: string[] = []
  page.on('console', (message) => message.type() === 'error' && complaints.push(message.text()))
  page.on('pageerror', (error) => complaints.push(String(error)))
  await page.goto(url)
  return { page, complaints }
}

async function runInPage(browser: Browser): Promise<{ result: PageResult; complaints: string[] }> {
  const server = createServer(serve)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  try {
    const { page, complaints } = await openPage(browser, `http://127.0.0.1:${port}/`)
    const element = await page.waitForSelector('#result', { state: 'attached', timeout: 120_000 }).catch((error) => {
      throw new Error(`the page shows no result: ${complaints.join('\n')}`, { cause: error })
    })
    return { result: JSON.parse((await element.textContent()) ?? '{}') as PageResult, complaints }
  } finally {
    server.close()
  }
}

async function judgeCore(browser: Browser): Promise<void> {
  const expected = allVerdicts()
  const { result, complaints } = await runInPage(browser)
  const inPage = new Map((result.verdicts ?? []).map((verdict) => [verdict.name, verdict.verdict]))
  check('the page has run', result.error === undefined, result.error)
  check('the page may not evaluate strings', result.evaluates === false)
  check('nothing else broke the policy', result.violations?.length === 0, result.violations?.join('\n'))
  check('the console is empty', complaints.length === 0, complaints.join('\n'))
  check('no two verdicts have one name', new Set(expected.map(({ name }) => name)).size === expected.length)
  check('the page has as many verdicts', inPage.size === expected.length, `${inPage.size}, not ${expected.length}`)
  for (const { name, verdict, expected: kind } of expected) {
    const seen = inPage.get(name) ?? 'nothing'
    check(
      `${name}${kind === '' ? '' : ` is ${kind}`}`,
      seen === verdict && seen.startsWith(kind) && !seen.startsWith('bug'),
      `Node: ${verdict.slice(0, 300)}\npage: ${seen.slice(0, 300)}`,
    )
  }
}

/** The pages of a running server, as people see them. */
async function judgePages(browser: Browser): Promise<void> {
  const data = tempFolder()
  const vkey = await initRaw(data, 'raw', 'lane.example/raw')
  const server = await startServer(data)
  const home = await openPage(browser, `${server.url}/logs`)
  const listed = (await home.page.textContent('main')) ?? ''
  check('the plain page lists the log with its key', listed.includes('lane.example/raw') && listed.includes(vkey))
  const color = await home.page.evaluate(() => getComputedStyle(document.querySelector('dl')!).display)
  check('its style is applied', color === 'grid', color)
  check('its console is empty', home.complaints.length === 0, home.complaints.join('\n'))

  const docs = await openPage(browser, `${server.url}/docs`)
  await docs.page.click('text=Logs one signed event')
  const operation = docs.page.locator('#operations-events-submitEvent')
  // It unfolds when it is ready. What is not there by then is told by the check.
  await operation
    .filter({ hasText: 'KEY_SUSPENDED' })
    .waitFor({ timeout: 10_000 })
    .catch(() => {})
  const shown = await operation.textContent()
  check('/docs shows an operation with its refusals', /KEY_SUSPENDED/.test(shown ?? ''), shown ?? 'nothing')
  check('its console is empty too', docs.complaints.length === 0, docs.complaints.join('\n'))

  // What the checks above must be able to see: a page under the same policy that breaks it.
  await docs.page.evaluate(() =>
    document.body.insertAdjacentHTML('beforeend', '<img src="https://elsewhere.example/x">'),
  )
  await docs.page.waitForTimeout(200)
  check('a page that breaks its policy complains', docs.complaints.length > 0)
  check('the server stops when told to', (await server.stop()) === 0)
}

await lane(async () => {
  const browser = await startChromium()
  try {
    await judgeCore(browser)
    await judgePages(browser)
  } finally {
    await browser.close()
  }
})
