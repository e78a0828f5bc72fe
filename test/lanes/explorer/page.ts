/** The explorer in a browser, as a person drives it. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import axe from 'axe-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'

export interface Look {
  readonly theme?: 'light' | 'dark'
  readonly width?: number
  /** Put into the trust page before anything else. */
  readonly trust?: string
}

const PICTURES = process.env.TREELINE_PICTURES

interface AxeResult {
  readonly violations: readonly {
    readonly id: string
    readonly impact: string
    readonly nodes: readonly { readonly html: string }[]
  }[]
}

export class ExplorerPage {
  readonly page: Page
  readonly context: BrowserContext
  readonly complaints: string[] = []
  readonly requests: string[] = []
  readonly #url: string

  private constructor(context: BrowserContext, page: Page, url: string) {
    this.context = context
    this.page = page
    this.#url = url
    page.on('console', (message) => message.type() === 'error' && this.complaints.push(message.text()))
    page.on('pageerror', (error) => this.complaints.push(String(error)))
    page.on('request', (request) => this.requests.push(request.url()))
  }

  /** In a context of its own, which remembers nothing of others. */
  static async open(
    browser: Browser,
    url: string,
    { theme = 'light', width = 1200, trust }: Look = {},
  ): Promise<ExplorerPage> {
    const context = await browser.newContext({ colorScheme: theme, viewport: { width, height: 900 } })
    await context.addInitScript(() => {
      addEventListener('securitypolicyviolation', (event) =>
        console.error(`policy: ${event.violatedDirective} ${event.blockedURI}`),
      )
      const tasks: number[] = []
      Object.assign(window, { tasks })
      new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) tasks.push(Math.round(duration))
      }).observe({ entryTypes: ['longtask'] })
    })
    const opened = new ExplorerPage(context, await context.newPage(), url)
    await opened.page.goto(`${url}/`)
    await opened.page.waitForSelector('h1')
    if (trust !== undefined) await opened.trust(trust)
    return opened
  }

  async trust(text: string): Promise<void> {
    await this.go('#/trust')
    await this.page.fill('textarea', text)
    await this.page.click('text=Use this file')
    await this.page.waitForSelector('h2:has-text("In use")')
  }

  async go(hash: string): Promise<void> {
    await this.page.evaluate((to) => {
      location.hash = to
    }, hash)
    await this.page.waitForTimeout(50)
  }

  /** Goes there, and waits for what the page says of it. */
  async verdict(hash: string): Promise<string> {
    await this.go(hash)
    return this.state()
  }

  /** verified, unverified or failed. */
  async state(): Promise<string> {
    const element = await this.page.waitForSelector('.verdict', { timeout: 15_000 })
    await this.quiet()
    return (
      (await (await this.page.$('.verdict'))?.getAttribute('data-state')) ??
      (await element.getAttribute('data-state')) ??
      ''
    )
  }

  /** What was checked of the view, by title: the state of each step. */
  async steps(): Promise<ReadonlyMap<string, string>> {
    const all = await this.page
      .locator('main .steps li')
      .evaluateAll((items) => items.map((one) => [one.querySelector('strong')?.textContent ?? '', one.className]))
    return new Map(all as [string, string][])
  }

  /** Until nothing is being read any more. */
  async quiet(): Promise<void> {
    await this.page.waitForFunction(
      () => !/Reading|Verifying…|Hashing|Looking up/.test(document.querySelector('main')?.innerText ?? ''),
      undefined,
      {
        timeout: 15_000,
      },
    )
  }

  async text(): Promise<string> {
    return this.page.locator('main').innerText()
  }

  /** Gives files to the page as the button does. */
  async give(...files: readonly { readonly name: string; readonly bytes: Buffer | string }[]): Promise<void> {
    await this.page.setInputFiles(
      'input[type=file][multiple]',
      files.map(({ name, bytes }) => ({ name, mimeType: 'application/octet-stream', buffer: Buffer.from(bytes) })),
    )
    await this.page.waitForTimeout(150)
    await this.quiet()
  }

  /** Drops a file or a folder on the page, wherever one is, as the browser itself does when somebody drags it there. */
  async drop(path: string): Promise<void> {
    const debug = await this.context.newCDPSession(this.page)
    const data = { items: [], files: [path], dragOperationsMask: 1 }
    for (const type of ['dragEnter', 'dragOver', 'drop'] as const)
      await debug.send('Input.dispatchDragEvent', { type, x: 300, y: 300, data })
    await debug.detach()
    await this.page.waitForTimeout(200)
    await this.quiet()
  }

  /** Serious and critical findings of axe-core. */
  async findings(): Promise<string[]> {
    // By the debugger, which the policy of the page does not concern.
    await this.page.evaluate(axe.source)
    const { violations } = await this.page.evaluate(() =>
      (window as unknown as { axe: { run: () => Promise<AxeResult> } }).axe.run(),
    )
    return violations
      .filter(({ impact }) => impact === 'serious' || impact === 'critical')
      .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 160)).join(' | ')}`)
  }

  /** For how long something held the page since this was asked last, ms; what is below 50 is 0. */
  longestTask(): Promise<number> {
    return this.page.evaluate(() => Math.max(0, ...(window as unknown as { tasks: number[] }).tasks.splice(0)))
  }

  /** Of the page's script, once what nobody needs is gone, bytes. */
  async memory(): Promise<number> {
    const debug = await this.context.newCDPSession(this.page)
    await debug.send('HeapProfiler.collectGarbage')
    const { usedSize, backingStorageSize } = await debug.send('Runtime.getHeapUsage')
    await debug.detach()
    return usedSize + backingStorageSize
  }

  /** How far the page is wider than the window, CSS pixels. */
  overflow(): Promise<number> {
    return this.page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth)
  }

  get url(): string {
    return this.#url
  }

  async picture(name: string): Promise<void> {
    if (PICTURES === undefined) return
    mkdirSync(PICTURES, { recursive: true })
    await this.page.screenshot({ path: join(PICTURES, `${name}.png`), fullPage: true })
  }

  async close(): Promise<void> {
    await this.context.close()
  }
}
