/** Many requests in one packet: as many answers, in their order, and none of a neighbour. */
import { check } from '../lane.ts'
import { exchangeBytes } from './socket.ts'

const get = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: x\r\n\r\n`
const post = (path: string, body: string): string =>
  `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`

/** `events` are signed, none of them known. */
export async function answersPipelines(url: string, events: readonly string[]): Promise<void> {
  const reads = Array.from(
    { length: 1_000 },
    (_, i) =>
      [
        ['/healthz', 200],
        [`/test/v1/events/${900_000 + i}`, 404],
        ['/test/%74ile/0/000', 404],
        [`/test/v1/events?limit=0&n=${i}`, 400],
        ['/test/v1/policy', 200],
      ].at(i % 5)!,
  ) as [string, number][]
  const read = await exchangeBytes(url, reads.map(([path]) => get(path)).join(''), {
    quiet: 3_000,
    enough: reads.length,
  })
  check(
    `1,000 reads in one packet: ${read.statuses.length} answers, in their order`,
    read.statuses.join() === reads.map(([, status]) => status).join(),
    read.statuses.join(),
  )
  const indexes = [...read.text.matchAll(/has no entry ([0-9]+)/g)].map(([, index]) => Number(index))
  check(
    'each is the answer to its own question',
    indexes.length === 200 && indexes.every((index, i) => index === 900_001 + 5 * i),
  )

  const writes = events.flatMap((event, i): [string, number][] => [
    [event, 201],
    [i % 2 === 0 ? event.replace('"payload":"', '"payload":"x') : '{', 400],
    [event, 200],
  ])
  const written = await exchangeBytes(url, writes.map(([body]) => post('/test/v1/events', body)).join(''), {
    quiet: 3_000,
    enough: writes.length,
  })
  check(
    `${writes.length} writes in one packet, good and bad: ${written.statuses.length} answers, in their order`,
    written.statuses.join() === writes.map(([, status]) => status).join(),
    written.statuses.join(),
  )
}
