/** The page by Tab, Enter and the arrow keys alone: every step is reached, and whoever sees it knows where they are. */
import type { Browser, Page } from 'playwright-core'
import { check } from '../lane.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

const MOST_TABS = 40

const focused = (page: Page) => page.evaluate(() => document.activeElement?.textContent ?? '')

/** Whether what has the focus looks different for it: an outline, of itself or of the button around it, or the edge of a box of the picture. */
const isSeen = (page: Page) =>
  page.evaluate(() => {
    const element = document.activeElement!
    const node = element.closest('.node')
    if (node !== null) return getComputedStyle(node.querySelector('rect')!).strokeWidth === '2.5px'
    return [element, element.closest('.button')].some((one) => {
      if (one === null) return false
      const { outlineStyle, outlineWidth } = getComputedStyle(one)
      return outlineStyle !== 'none' && Number.parseFloat(outlineWidth) >= 2
    })
  })

/** Tabs until the text of what has the focus fits; returns what could not be seen on the way. */
async function tabTo(page: Page, text: string | RegExp, unseen: string[]): Promise<boolean> {
  for (let i = 0; i < MOST_TABS; i++) {
    await page.keyboard.press('Tab')
    const now = await focused(page)
    if (!(await isSeen(page))) unseen.push(now.slice(0, 40))
    if (typeof text === 'string' ? now === text : text.test(now)) return true
  }
  return false
}

export async function judgeKeyboard(browser: Browser, { url, trust }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url, { trust })
  const { page } = explorer
  const unseen: string[] = []
  await page.goto(`${url}/#/`)
  await page.reload()
  await explorer.state()
  await page.keyboard.press('Tab')
  const first = await focused(page)
  check('the first key leads past the navigation', first.includes('Skip to the content'), first)
  await page.keyboard.press('Enter')
  const inMain = () => page.evaluate(() => document.activeElement?.id === 'main')
  check('and it does', await inMain())
  await tabTo(page, 'Events', unseen)
  await page.keyboard.press('Enter')
  await page.waitForSelector('h1:has-text("Events of models")')
  check('a log opens by the keyboard, and what has the focus is the new view', await inMain())
  check(
    'and its name is that of the window',
    (await page.title()) === 'Entries of models · Treeline',
    await page.title(),
  )
  await explorer.state()
  await tabTo(page, 'Search', unseen)
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  await page.keyboard.type('urn:treeline:pipeline:train:v1')
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => location.hash.includes('type='))
  await explorer.state()
  await tabTo(page, /^2\d\d$/, unseen)
  await page.keyboard.press('Enter')
  await page.waitForSelector('h1:has-text("Entry 2")')
  await explorer.state()
  check('a search, and an event of it', await tabTo(page, 'what it reached', unseen))
  await page.keyboard.press('Enter')
  await page.waitForSelector('h1:has-text("What a key reached")')
  await explorer.state()
  await tabTo(page, 'Build it here from every entry', unseen)
  await page.keyboard.press('Enter')
  await page.waitForFunction(() => document.body.innerText.includes('Built here from every entry'))
  check('lineage of its signer, built here', await tabTo(page, 'Whole graph', unseen))
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  check(
    'and the boxes of the picture',
    await page.evaluate(() => document.activeElement?.matches('.lineage a') === true),
  )
  await page.keyboard.press('Tab')
  check('what has the focus is always seen', unseen.length === 0 && (await isSeen(page)), unseen.join(', '))
  await page.evaluate(() => {
    document.activeElement!.querySelector('rect')!.style.strokeWidth = '1px'
  })
  check('control: what is not is noticed', !(await isSeen(page)))
  await explorer.close()
}
