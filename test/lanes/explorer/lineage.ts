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

/** A server that answers for a key what was asked of another one, or of another time, or less than it signed. */
export async function judgeKeyLies(browser: Browser, { url, trust }: Shown): Promise<void> {
  const get = async <T>(path: string) => (await (await fetch(`${url}/models/v1/${path}`)).json()) as T
  const { policy } = await get<{ policy: { signers: { id: string; name: string }[] } }>('policy')
  const [trainer, evaluator] = ['trainer', 'evaluator'].map(
    (name) => policy.signers.find((one) => one.name === name)!.id,
  )
  const [since, before] = [
    (await get<{ time: number }>('events/285')).time,
    (await get<{ time: number }>('events/200')).time,
  ]
  const told = (key: string, from: number) =>
    get<{ edges: { role: string }[] }>(`lineage?signer=${key}&direction=down&since=${from}&depth=24&limit=400`)
  const liar = await Liar.before(url)
  const explorer = await ExplorerPage.open(browser, liar.url, { trust })
  const verdict = async (answer?: object): Promise<string> => {
    liar.lie = ({ path }) =>
      answer !== undefined && path.includes('/v1/lineage?') ? JSON.stringify(answer) : undefined
    await explorer.go('#/trust')
    return explorer.verdict(`#/lineage/key:${trainer}?direction=down&since=${since}`)
  }
  check('what a key reached is verified', (await verdict()) === 'verified', await explorer.text())
  const says = async (why: string) => (await explorer.text()).includes(why)
  const foreign = await verdict(await told(evaluator!, since))
  check('events of another key fail', foreign === 'failed' && (await says('did not sign it')), await explorer.text())
  const early = await verdict(await told(trainer!, before))
  check('events of another time fail', early === 'failed' && (await says('not of the time')), await explorer.text())
  const less = await told(trainer!, since)
  less.edges.splice(
    less.edges.findIndex(({ role }) => role === 'produced'),
    1,
  )
  check('what it produced and the answer leaves out fails', (await verdict(less)) === 'failed', await explorer.text())
  await explorer.close()
  liar.close()
}
