/** Every view in both themes and on a phone, judged by axe-core; and pictures of them for people. */
import type { Browser } from 'playwright-core'
import { check } from '../lane.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

interface View {
  readonly hash: string
  /** What is done there before it is looked at. */
  readonly act?: (explorer: ExplorerPage) => Promise<void>
}

interface Look {
  readonly theme: 'light' | 'dark'
  readonly width: number
}

const LOOKS: readonly Look[] = [
  { theme: 'light', width: 1200 },
  { theme: 'light', width: 390 },
  { theme: 'dark', width: 1200 },
  { theme: 'dark', width: 390 },
]

/** `what` names the checks and the pictures. */
export async function judgeLooks(
  browser: Browser,
  what: string,
  { url, trust }: { readonly url: string; readonly trust?: string },
  views: readonly View[],
  looks = LOOKS,
): Promise<void> {
  for (const { theme, width } of looks) {
    const explorer = await ExplorerPage.open(browser, url, { theme, width, ...(trust !== undefined && { trust }) })
    const findings: string[] = []
    const wide: string[] = []
    for (const { hash, act } of views) {
      await explorer.go(hash)
      await explorer.quiet()
      await act?.(explorer)
      await explorer.picture(`${what}${hash.replace(/\W+/g, '-').slice(0, 26)}-${theme}-${width}`)
      await explorer.page.evaluate(() => {
        for (const one of document.querySelectorAll('main details')) (one as HTMLDetailsElement).open = true
      })
      findings.push(...(await explorer.findings()).map((one) => `${hash} ${one}`))
      if ((await explorer.overflow()) > 0) wide.push(hash)
    }
    check(`${what}: axe finds nothing serious, ${theme}, ${width} px`, findings.length === 0, findings.join('\n'))
    check(`${what}: nothing is wider than the window, ${theme}, ${width} px`, wide.length === 0, wide.join('\n'))
    if (what === 'views' && theme === 'dark' && width === 390) await controls(explorer)
    await explorer.close()
  }
}

export async function judgeAccess(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const evidence = await (await fetch(`${url}/models/v1/evidence/${model.index}`)).text()
  const at = evidence.indexOf('extra ') + 300
  const tampered = `${evidence.slice(0, at)}${evidence[at] === 'A' ? 'B' : 'A'}${evidence.slice(at + 1)}`
  const bad = { name: 'tampered.tlog-proof', bytes: tampered }
  await judgeLooks(browser, 'views', { url, trust }, [
    { hash: '#/' },
    { hash: '#/log/models' },
    { hash: '#/log/models?text=nothing-like-it' },
    { hash: `#/log/models/${model.index}` },
    { hash: '#/log/models/timeline?size=77' },
    { hash: '#/check', act: (explorer) => explorer.give({ name: 'model.tlog-proof', bytes: evidence }, bad) },
    { hash: '#/trust' },
    { hash: '#/lineage/' },
    { hash: `#/lineage/${model.id}?direction=both`, act: async (explorer) => void (await explorer.state()) },
  ])
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
