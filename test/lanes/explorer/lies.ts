/** A server that lies about its events, its head or its key. */
import type { Browser } from 'playwright-core'
import { check } from '../lane.ts'
import { alters, altersBundles, Liar, misdescribes, namesKey, serves, swaps } from './liar.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

export async function judgeLies(browser: Browser, { url, trust, model, vkey }: Shown): Promise<void> {
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
  await explorer.picture('lie-altered')
  check('it fails by itself', (await verdict(`#/log/models/${model.index}`)) === 'failed')
  await explorer.picture('lie-event')
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
  await explorer.picture('lie-old-head')
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
