/** Debian's Chromium, as the lanes start it. */
import { existsSync } from 'node:fs'
import { type Browser, chromium } from 'playwright-core'
import { must } from './lane.ts'

const CHROMIUM = '/usr/bin/chromium'

const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Installs it where it is missing. */
export async function startChromium(): Promise<Browser> {
  if (!existsSync(CHROMIUM)) {
    await must('apt-get', ['install', '-y', '--no-install-recommends', 'chromium'], { seconds: 600 })
    if (!existsSync(CHROMIUM)) throw new Error(`no ${CHROMIUM}, although apt-get has installed it`)
  }
  return chromium.launch({ executablePath: CHROMIUM, args: FLAGS })
}
