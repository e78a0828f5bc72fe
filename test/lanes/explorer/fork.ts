/** One key, two histories. */
import { cpSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { check, eventually, run, startServer, tempFolder } from '../lane.ts'
import { Liar } from './liar.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

export async function judgeFork(browser: Browser, { data, vkey, submit }: Shown): Promise<void> {
  const copy = join(tempFolder(), 'copy')
  cpSync(data, copy, { recursive: true })
  const [one, other] = [await startServer(data), await startServer(copy)]
  await submit(one.url, 'raw/for-one')
  await submit(other.url, 'raw/for-another')
  await submit(other.url, 'raw/and-more')
  const head = async (url: string, size: number) => {
    const note = await (await fetch(`${url}/models/checkpoint`)).text()
    return note.includes(`\n${size}\n`) || undefined
  }
  await eventually('both heads', async () => (await head(one.url, 304)) && (await head(other.url, 305)))
  const liar = await Liar.before(one.url)
  const trust = `log ${vkey}\nquorum none\n`
  const explorer = await ExplorerPage.open(browser, liar.url, { trust })
  await explorer.verdict('#/')
  const first = await explorer.text()
  check('there is nothing against the first of two histories', /304 under/.test(first) && !/failed/.test(first), first)
  liar.upstream = other.url
  await explorer.page.reload()
  const second = await explorer.state()
  const text = await explorer.text()
  check('the second fails', second === 'failed' && text.includes('two histories'), text)
  await explorer.picture('lie-fork')
  const saving = explorer.page.waitForEvent('download')
  await explorer.page.click('text=Save the evidence')
  const folder = tempFolder()
  const [fault, trusted] = [join(folder, 'models.fault'), join(folder, 'trust.txt')]
  await (await saving).saveAs(fault)
  writeFileSync(trusted, trust)
  const judged = await run(process.execPath, ['cmd/treeline.ts', 'verify', '--trust', trusted, fault])
  check(
    'treeline verify takes the saved evidence for what it is',
    /a fault is proved: .* is no part of/.test(judged.output),
    judged.output,
  )
  await explorer.drop(fault)
  check('and so does the page', (await explorer.state()) === 'verified', await explorer.text())
  await explorer.close()
  liar.close()
  await one.stop()
  await other.stop()
}
