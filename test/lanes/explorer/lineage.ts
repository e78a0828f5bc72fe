/** Lineage: built from every entry, and told by a server that lies about it. */
import type { Browser } from 'playwright-core'
import { check } from '../lane.ts'
import { aboutLineage, alters, Liar } from './liar.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

export async function judgeLineage(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const explorer = await ExplorerPage.open(browser, url, { trust })
  await explorer.go(`#/lineage/${model.id}?direction=both`)
  await explorer.quiet()
  await explorer.page.click('text=Build it here')
  await explorer.page.waitForFunction(() => document.body.innerText.includes('Built here from every entry'))
  check('a lineage built from every entry is verified', (await explorer.state()) === 'verified', await explorer.text())
  const events = await explorer.page.locator('.lineage a.event').count()
  check('it has every event of the run, and the release far after it', events === 6, String(events))
  await explorer.picture('lineage')
  check('the event that was quarantined is marked', (await explorer.page.locator('.lineage a.marked').count()) === 1)
  const before = await explorer.page.locator('.lineage > svg').getAttribute('viewBox')
  await explorer.page.locator('.lineage > svg').focus()
  await explorer.page.keyboard.press('+')
  check('it zooms by the keyboard', (await explorer.page.locator('.lineage > svg').getAttribute('viewBox')) !== before)
  await explorer.close()
}

export async function judgeLineageLies(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const liar = await Liar.before(url)
  const explorer = await ExplorerPage.open(browser, liar.url, { trust })
  const verdict = async (): Promise<string> => {
    await explorer.go('#/trust')
    return explorer.verdict(`#/lineage/${model.id}?direction=down`)
  }
  check('the lineage that the server tells is verified', (await verdict()) === 'verified', await explorer.text())
  check('its artifacts have names', (await explorer.text()).includes('model/forest-0.json'))
  await explorer.picture('lineage-told')
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
