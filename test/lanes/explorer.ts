/**
 * The explorer in a real browser, before a real log with a witness: every flow, with the network cut where nothing may need it, before a server
 * that lies, by keyboard, on a phone, and judged by axe-core. Pictures of it go to the folder of TREELINE_PICTURES.
 *
 *   npm exec -- node test/lanes/explorer.ts
 */
import { startChromium } from './chromium.ts'
import { judgeAccess } from './explorer/access.ts'
import { judgeChain } from './explorer/chain.ts'
import { judgeFiles } from './explorer/files.ts'
import { judgeFork } from './explorer/fork.ts'
import { judgeKeyboard } from './explorer/keyboard.ts'
import { judgeLarge } from './explorer/large.ts'
import { judgeLies } from './explorer/lies.ts'
import { judgeKeyLies, judgeLineage, judgeLineageLies } from './explorer/lineage.ts'
import { startShown } from './explorer/log.ts'
import { judgeOffline } from './explorer/offline.ts'
import { judgeReport } from './explorer/report.ts'
import { judgeTokens } from './explorer/tokens.ts'
import { judgeEvents, judgeLogs, judgeSearch, judgeTimeline } from './explorer/views.ts'
import { lane, must } from './lane.ts'

await lane(async () => {
  await must('npm', ['run', '--silent', 'build:needed'])
  const browser = await startChromium()
  const shown = await startShown()
  try {
    await judgeFiles(shown)
    await judgeLogs(browser, shown)
    await judgeEvents(browser, shown)
    await judgeSearch(browser, shown)
    await judgeTimeline(browser, shown)
    await judgeOffline(browser, shown)
    await judgeReport(browser, shown)
    await judgeLineage(browser, shown)
    await judgeLineageLies(browser, shown)
    await judgeKeyLies(browser, shown)
    await judgeLies(browser, shown)
    await judgeAccess(browser, shown)
    await judgeKeyboard(browser, shown)
    await shown.stop()
    await judgeFork(browser, shown)
    await judgeTokens(browser, shown)
    await judgeChain(browser)
    await judgeLarge(browser)
  } finally {
    await browser.close()
  }
})
