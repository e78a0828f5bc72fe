/** What the S3 store makes of names and of servers that answer nonsense. What it is for is tested on real servers, by the lane. */
import { createServer, type RequestListener } from 'node:http'
import type { AddressInfo } from 'node:net'
import t, { type Test } from 'tap'
import { toUtf8 } from '../../src/core/bytes.ts'
import { openStore } from '../../witness/worm/open-store.ts'
import { S3Store } from '../../witness/worm/s3.ts'
import { MAX_ANSWER } from '../../witness/worm/s3-answers.ts'
import { MAX_OBJECT_SIZE, type WormStore } from '../../witness/worm/store.ts'
import { codeOf, keysOf } from './worm-contract.ts'

const OBJECT = { key: 'log/1', version: 'v1' }

/** A store on a server that answers so, and how many requests that has had. */
async function storeOn(t: Test, answer: RequestListener): Promise<{ store: WormStore; requests: () => number }> {
  let requests = 0
  const server = createServer((request, response) => {
    requests++
    request.resume()
    answer(request, response)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  process.env.AWS_ENDPOINT_URL_S3 = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  const store = await openStore('s3://bucket/prefix')
  t.teardown(async () => {
    await store.close()
    server.closeAllConnections()
    server.close()
  })
  return { store, requests: () => requests }
}

/** One page of a listing. */
const page = (keys: readonly string[], next = ''): string => {
  const versions = keys.map((key) => `<Version><Key>prefix/${key}</Key><VersionId>v-${key}</VersionId></Version>`)
  const marker = `<NextKeyMarker>prefix/${next}</NextKeyMarker><NextVersionIdMarker>v-${next}</NextVersionIdMarker>`
  const more = next === '' ? '' : `<IsTruncated>true</IsTruncated>${marker}`
  return `<ListVersionsResult><Name>bucket</Name>${versions.join('')}${more}</ListVersionsResult>`
}

t.before(() => {
  // Never those of the machine, nor its metadata service.
  process.env.AWS_ACCESS_KEY_ID = 'key'
  process.env.AWS_SECRET_ACCESS_KEY = 'secret'
  process.env.AWS_REGION = 'us-east-1'
  process.env.AWS_EC2_METADATA_DISABLED = 'true'
  process.env.AWS_CONFIG_FILE = '/dev/null'
  process.env.AWS_SHARED_CREDENTIALS_FILE = '/dev/null'
})

t.test('the name of an S3 store', async (t) => {
  for (const spec of [
    's3://',
    's3://B',
    's3://ab',
    's3:///p',
    's3://bucket/../p',
    's3://bucket//p',
    's3://bucket/a b',
    's3://bucket/p\n',
  ]) {
    t.equal(await codeOf(openStore(spec)), 'USAGE', spec)
  }
  for (const [spec, description] of [
    ['s3://bucket', 's3://bucket'],
    ['s3://bucket/', 's3://bucket'],
    ['s3://my.bucket-1/a/b/', 's3://my.bucket-1/a/b'],
  ] as const) {
    t.equal((await openStore(spec)).description, description)
  }
})

t.test('what says nothing of locks is to be tried again', async (t) => {
  const answers: Readonly<Record<string, RequestListener>> = {
    'no XML': (_, response) => response.end('welcome'),
    'an error without a name': (_, response) => response.writeHead(418).end(),
    'a closed connection': (_, response) => response.destroy(),
  }
  for (const [name, answer] of Object.entries(answers)) {
    const { store } = await storeOn(t, answer)
    t.equal(await codeOf(store.probe()), 'UNREACHABLE', name)
    t.equal(await codeOf(store.lockOf(OBJECT)), 'UNREACHABLE', name)
  }
  const page = await storeOn(t, (_, response) => response.end('<html>welcome</html>'))
  t.equal(await codeOf(keysOf(page.store.list(''))), 'UNREACHABLE', 'a page of something else is no empty listing')
  t.equal(await codeOf(page.store.lockOf(OBJECT)), 'WORM_BROKEN', 'nor is it a lock')
  const { store, requests } = await storeOn(t, (_, response) => response.writeHead(500).end())
  t.equal(await codeOf(store.get(OBJECT)), 'UNREACHABLE')
  t.equal(requests(), 3, 'three times, and no more')
})

t.test('a listing', async (t) => {
  const pages = [page(['a', 'b'], 'b'), page(['b', 'c', '../x', 'd e', 'f'])]
  let at = 0
  const two = await storeOn(t, (_, response) => response.end(pages[at++]))
  t.equal(await keysOf(two.store.list('')), 'a b c f', 'the marker is not repeated, and what is no key passed over')
  const same = await storeOn(t, (_, response) => response.end(page(['a', 'b'], 'b')))
  t.equal(await codeOf(keysOf(same.store.list(''))), 'UNREACHABLE', 'that has no end')
  const back = await storeOn(t, (_, response) => response.end(page(['b', 'a'])))
  t.equal(await codeOf(keysOf(back.store.list(''))), 'UNREACHABLE', 'that has no order')
  const none = await storeOn(t, (_, response) => response.end(page([])))
  t.equal(await codeOf(none.store.put('a', toUtf8('x'), Date.now() + 60_000)), 'WORM_BROKEN', 'without what was put')
})

t.test('an answer without an end', async (t) => {
  let sent = 0
  const endless = (status: number): RequestListener => {
    return (_, response) => {
      const piece = Buffer.alloc(65_536, '<Version/>')
      response.writeHead(status)
      const more = (): void => {
        while (!response.destroyed && response.write(piece)) sent += piece.length
      }
      response.on('drain', more)
      more()
    }
  }
  const list = await storeOn(t, endless(200))
  t.equal(await codeOf(keysOf(list.store.list(''))), 'UNREACHABLE', 'a listing')
  t.equal(await codeOf(list.store.lockOf(OBJECT)), 'UNREACHABLE', 'a lock')
  const error = await storeOn(t, endless(403))
  t.equal(await codeOf(error.store.get(OBJECT)), 'UNREACHABLE', 'why there is no object')
  t.ok(sent < 10 * MAX_ANSWER, 'is not read for long')
})

t.test('an answer that takes for ever', async (t) => {
  await storeOn(t, (_, response) => {
    response.write('<ListVersionsResult>')
    const timer = setInterval(() => response.write(' '), 20)
    response.on('close', () => clearInterval(timer))
  })
  const store = S3Store.open('s3://bucket', { timeout: 300 })
  t.teardown(() => store.close())
  t.equal(await codeOf(keysOf(store.list(''))), 'UNREACHABLE', 'although something always comes')
})

t.test('a body', async (t) => {
  const short = await storeOn(t, (_, response) => {
    response.writeHead(200, { 'content-length': '10' }).write('nine')
    setTimeout(() => response.destroy(), 20)
  })
  t.equal(await codeOf(short.store.get(OBJECT)), 'UNREACHABLE', 'shorter than it says')
  const chunked = await storeOn(t, (_, response) => {
    response.flushHeaders()
    response.end('of unknown length')
  })
  t.equal(await codeOf(chunked.store.get(OBJECT)), 'UNREACHABLE', 'of unknown length')
  const long = await storeOn(t, (_, response) =>
    response.writeHead(200, { 'content-length': `${MAX_OBJECT_SIZE + 1}` }).flushHeaders(),
  )
  t.equal(await codeOf(long.store.get(OBJECT)), 'WORM_BROKEN', 'too long, before it is read')
})
