/** The folder of a report, dropped on the page with the network cut: what of it is proved, and what is not. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { check, must, run, tempFolder } from '../lane.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

export async function judgeReport(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const folder = tempFolder()
  const file = join(folder, 'trust.txt')
  writeFileSync(file, trust)
  const report = join(folder, 'report')
  const flags = ['--log', `${url}/models`, '--trust', file, '--state', join(folder, 'state'), '--report', report]
  await must(process.execPath, ['cmd/treeline.ts', 'trace', '--down', ...flags, model.id])
  const explorer = await ExplorerPage.open(browser, url, { trust })
  await explorer.go('#/check')
  await explorer.context.setOffline(true)
  const dropped = async () => {
    await explorer.drop(report)
    return explorer.state()
  }
  check('a report folder is verified', (await dropped()) === 'verified', await explorer.text())
  const proofs = explorer.page.locator('[data-file$=".tlog-proof"][data-state=verified]')
  check('with all of its evidence', (await proofs.count()) === 3)
  const said = await explorer.text()
  check(
    'and the page says which of its files are no evidence',
    said.includes('No evidence, and not verified: report/report.html, report/VERIFY.md') &&
      said.split('A text for people, and no evidence').length === 3,
    said,
  )
  await explorer.picture('report')

  const page = join(report, 'report.html')
  const [text, json] = [readFileSync(page, 'utf8'), join(report, 'report.json')]
  const bare = (shown: string) => shown.replace(/[0-9a-f]{64}/g, '')
  writeFileSync(page, text.replace('report.json', 'report.json '))
  const judged = await run(process.execPath, ['cmd/treeline.ts', 'verify', '--trust', file, report])
  check('treeline verify compares them', judged.code === 1 && judged.output.includes('report.html'), judged.output)
  check('the page does not, as it says', (await dropped()) === 'verified' && bare(await explorer.text()) === bare(said))
  writeFileSync(page, text)
  const again = await run(process.execPath, ['cmd/treeline.ts', 'verify', '--trust', file, report])
  check('control: unchanged, treeline verify accepts the folder', again.code === 0, again.output)

  const honest = readFileSync(json, 'utf8')
  for (const [what, from, to] of [
    ['a role', /"role": "consumed"/, '"role": "produced"'],
    ['a time', /"time": 1/, '"time": 2'],
    ['a name of a signer', /"evaluator"/, '"trainer"'],
    ['a name of an artifact', /"release\/ensemble"/, '"release/other"'],
  ] as const) {
    const changed = honest.replace(from, to)
    writeFileSync(json, changed)
    check(
      `${what} in it changed and it fails`,
      changed !== honest && (await dropped()) === 'failed',
      await explorer.text(),
    )
  }
  writeFileSync(json, honest)
  rmSync(join(report, 'evidence', readdirSync(join(report, 'evidence'))[0]!))
  check('evidence taken out of it and it fails', (await dropped()) === 'failed', await explorer.text())
  await explorer.close()
}
