/** What the server sends: the files of the page, their headers and their size. */
import { check, run } from '../lane.ts'
import type { Shown } from './log.ts'

/** All files of the page together, gzip, bytes. */
const BUDGET = 200_000

export async function judgeFiles({ url }: Shown): Promise<void> {
  const page = await fetch(`${url}/`)
  const html = await page.text()
  const policy = page.headers.get('content-security-policy') ?? ''
  check(
    'the policy of the page allows nothing inline and nobody else',
    /default-src 'none'/.test(policy) && !/unsafe|https?:|\*|data:/.test(policy),
    policy,
  )
  check('the page has no inline script or style', !/<script(?![^>]*src=)|<style|style=|\son\w+=/.test(html), html)
  const assets = [...html.matchAll(/(?:src|href)="(\/assets\/[^"]+)"/g)].map(([, path]) => path!)
  let total = 0
  for (const path of ['/', ...assets]) {
    const answer = await run('curl', [
      '-s',
      '-H',
      'accept-encoding: gzip',
      '-o',
      '/dev/null',
      '-w',
      '%{size_download} %{content_type}',
      url + path,
    ])
    total += Number(answer.output.split(' ')[0])
    if (path === '/') continue
    const { headers } = await fetch(url + path)
    check(
      `${path.replace(/-\w+\./, '.')} has a type and is kept for ever`,
      /^(text\/(javascript|css)|image\/svg)/.test(headers.get('content-type') ?? '') &&
        /immutable/.test(headers.get('cache-control') ?? ''),
    )
  }
  check(
    `the page and all that it loads are ${total} bytes, below ${BUDGET}`,
    assets.length >= 3 && total > 10_000 && total < BUDGET,
  )
}
