/** A server that demands tokens. */
import type { Browser } from 'playwright-core'
import { check, must, SERVER, startServer } from '../lane.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

export async function judgeTokens(browser: Browser, { data }: Shown): Promise<void> {
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
  await explorer.verdict('#/log/models/3')
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
