/** A server that demands tokens. */
import type { Browser } from 'playwright-core'
import { check, must, SERVER, startServer } from '../lane.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

export async function judgeTokens(browser: Browser, { data, model }: Shown): Promise<void> {
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
  await explorer.picture('token')
  const enter = async (text: string) => {
    await explorer.page.fill('input[type=password]', text)
    await explorer.page.click('text=Use it')
    await explorer.quiet()
  }
  await enter(tree)
  await explorer.verdict('#/log/models')
  const rows = await explorer.page.locator('tbody tr:not(.failed)').count()
  check('with the scope tree the entries are there, and in the tree', rows === 50, await explorer.text())
  await explorer.go('#/log/models?text=forest-7')
  await explorer.quiet()
  check('their text is not searched', /SCOPE|scope/.test(await explorer.text()), await explorer.text())
  await explorer.verdict(`#/lineage/${model.id}?direction=down`)
  const told = await explorer.text()
  check(
    'lineage is told, without names from payloads',
    told.includes('models 4') && !told.includes('model/forest-0'),
    told,
  )
  await explorer.verdict('#/log/models/3')
  const steps = await explorer.steps()
  check(
    'an event is in the tree, its document is not shown, and nothing is called missing',
    steps.get('Its bytes are in the tree') === 'verified' &&
      steps.get('Its document is signed, and was allowed') === 'unverified' &&
      !steps.has('Its document is there') &&
      !(await explorer.page.content()).includes('forest-0'),
    JSON.stringify([...steps]),
  )
  await explorer.picture('token-tree')
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
