/** Files that are dropped on the page, with the network cut. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Browser } from 'playwright-core'
import { check, tempFolder } from '../lane.ts'
import type { Shown } from './log.ts'
import { ExplorerPage } from './page.ts'

export async function judgeOffline(browser: Browser, { url, trust, model }: Shown): Promise<void> {
  const evidence = await (await fetch(`${url}/models/v1/evidence/${model.index}`)).text()
  const explorer = await ExplorerPage.open(browser, url, { trust })
  await explorer.go('#/check')
  await explorer.context.setOffline(true)
  explorer.requests.length = 0
  await explorer.give({ name: 'model.tlog-proof', bytes: evidence })
  check('evidence is verified with the network cut', (await explorer.state()) === 'verified', await explorer.text())
  await explorer.picture('evidence')
  await explorer.go('#/trust')
  const file = join(tempFolder(), 'model.tlog-proof')
  writeFileSync(file, evidence)
  await explorer.drop(file)
  check(
    'a file dropped on another view is, too',
    explorer.page.url().endsWith('#/check') && (await explorer.state()) === 'verified',
  )
  const at = evidence.indexOf('extra ') + 300
  const tampered = `${evidence.slice(0, at)}${evidence[at] === 'A' ? 'B' : 'A'}${evidence.slice(at + 1)}`
  await explorer.give({ name: 'tampered.tlog-proof', bytes: tampered })
  check('one changed letter and it fails', (await explorer.state()) === 'failed')
  await explorer.picture('evidence-tampered')
  await explorer.give({ name: 'receipt.json', bytes: model.receipt })
  check('a receipt alone is not called verified', (await explorer.state()) === 'unverified', await explorer.text())
  await explorer.give({ name: 'receipt.json', bytes: model.receipt }, { name: 'envelope.json', bytes: model.envelope })
  check('a receipt is verified with what was sent', (await explorer.state()) === 'verified', await explorer.text())
  const other = JSON.stringify({ ...JSON.parse(model.envelope), payloadType: 'application/cloudevents+json' })
  await explorer.give({ name: 'receipt.json', bytes: model.receipt }, { name: 'envelope.json', bytes: other })
  check('and fails with anything else', (await explorer.state()) === 'failed', await explorer.text())
  await explorer.give(
    { name: 'proof', bytes: evidence },
    { name: 'forest.json', bytes: model.bytes },
    { name: 'trust.txt', bytes: trust },
  )
  check(
    'a file beside evidence is what the evidence names',
    /It is about forest.json[\s\S]*names its SHA-256/.test(await explorer.text()),
  )
  // The browser asks for the icon of its own accord, of the server that the page is from.
  const requests = explorer.requests.filter((path) => !/\/assets\/icon-[^/]+\.svg$/.test(path))
  check('nothing of this made a request', requests.length === 0, requests.join('\n'))
  await explorer.context.setOffline(false)
  await explorer.give({ name: 'forest.json', bytes: model.bytes })
  check(
    'control: another file is looked up, and the request is seen',
    explorer.requests.some((path) => path.includes(model.id)),
    explorer.requests.join('\n'),
  )
  check('the digest was computed here', (await explorer.text()).includes(model.id.slice(7)))
  await explorer.close()
  const stranger = await ExplorerPage.open(browser, url)
  await stranger.go('#/check')
  await stranger.give({ name: 'model.tlog-proof', bytes: evidence })
  check('evidence under a key that nobody pinned is not called verified', (await stranger.state()) === 'unverified')
  await stranger.close()
}
