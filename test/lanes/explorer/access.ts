/** Themes, a phone, axe-core, and the keyboard alone. */
import type { Browser } from 'playwright-core'
import { check } from '../lane.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

export async function judgeAccess(browser: Browser, { url, trust, model }: Shown): Promise<void> {
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
        await explorer.picture(`${theme}-${width}-${view.replace(/\W+/g, '-').slice(0, 30)}`)
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

export async function judgeKeyboard(browser: Browser, { url, trust }: Shown): Promise<void> {
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
