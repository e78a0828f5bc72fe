/** Bodies that are small on the wire and large in memory, or large in what they ask for. */
import { gzipSync } from 'node:zlib'
import { check } from '../lane.ts'

const MIB = 2 ** 20

interface Bomb {
  readonly name: string
  readonly path: string
  readonly type: string
  readonly body: Uint8Array
  readonly gzip?: boolean
  /** Whether its length is not said. */
  readonly chunks?: boolean
  readonly expect: readonly number[]
}

const ZEROS = gzipSync(Buffer.alloc(256 * MIB))
const SPACES = gzipSync(Buffer.alloc(256 * MIB, ' '))
const MEMBERS = Buffer.concat(Array.from({ length: 2_000 }, () => gzipSync(Buffer.alloc(MIB))))
const sound = gzipSync(Buffer.from('{"payload":"","payloadType":"x","signatures":[]}'))
const JSON_TYPE = 'application/json'
const LINES = 'application/x-ndjson'
const BATCH = 'application/vnd.treeline.batch'

const bombs: readonly Bomb[] = [
  ...['/test/v1/events', '/test/v1/policy', '/test/v1/redactions'].flatMap((path): Bomb[] => [
    { name: '256 MiB of zeros in gzip', path, type: JSON_TYPE, body: ZEROS, gzip: true, expect: [413] },
    { name: '256 MiB of spaces in gzip', path, type: JSON_TYPE, body: SPACES, gzip: true, expect: [413] },
    { name: 'gzip in gzip', path, type: JSON_TYPE, body: gzipSync(ZEROS), gzip: true, expect: [400] },
    {
      name: '2,000 members of gzip',
      path,
      type: JSON_TYPE,
      body: MEMBERS.subarray(0, 900_000),
      gzip: true,
      expect: [400, 413],
    },
    {
      name: 'gzip that is cut off',
      path,
      type: JSON_TYPE,
      body: sound.subarray(0, sound.length - 9),
      gzip: true,
      expect: [400],
    },
    {
      name: 'gzip with a wrong checksum',
      path,
      type: JSON_TYPE,
      body: Buffer.concat([sound.subarray(0, -8), Buffer.alloc(8)]),
      gzip: true,
      expect: [400],
    },
    { name: 'a body that is no gzip', path, type: JSON_TYPE, body: Buffer.from('{}'), gzip: true, expect: [400] },
    { name: '5 MiB', path, type: JSON_TYPE, body: Buffer.alloc(5 * MIB, ' '), expect: [413] },
    { name: '5 MiB in chunks', path, type: JSON_TYPE, body: Buffer.alloc(5 * MIB, ' '), chunks: true, expect: [413] },
    { name: '500,000 brackets', path, type: JSON_TYPE, body: Buffer.alloc(500_000, '['), expect: [400] },
    {
      name: '300,000 members',
      path,
      type: JSON_TYPE,
      body: Buffer.from(`{${'"a":0,'.repeat(149_000)}"b":0}`),
      expect: [400, 413],
    },
  ]),
  ...[LINES, BATCH].flatMap((type): Bomb[] => [
    {
      name: `256 MiB of zeros in gzip as ${type}`,
      path: '/test/v1/events/batch',
      type,
      body: ZEROS,
      gzip: true,
      expect: [400, 413],
    },
    {
      name: `gzip that is cut off as ${type}`,
      path: '/test/v1/events/batch',
      type,
      body: sound.subarray(0, sound.length - 9),
      gzip: true,
      expect: [400, 413],
    },
  ]),
  {
    name: '10,001 lines',
    path: '/test/v1/events/batch',
    type: LINES,
    body: Buffer.from('x\n'.repeat(10_001)),
    expect: [413],
  },
  {
    name: '10,000 lines of junk',
    path: '/test/v1/events/batch',
    type: LINES,
    body: Buffer.from('x\n'.repeat(10_000)),
    expect: [200],
  },
  {
    name: '33 MiB of lines',
    path: '/test/v1/events/batch',
    type: LINES,
    body: Buffer.alloc(33 * MIB, 'x'),
    expect: [413],
  },
  {
    name: 'a header of 4 GiB',
    path: '/test/v1/events/batch',
    type: BATCH,
    body: Uint8Array.of(255, 255, 255, 255, 1),
    expect: [400, 413],
  },
]

export async function survivesBombs(url: string): Promise<void> {
  for (const { name, path, type, body, gzip, chunks, expect } of bombs) {
    const headers = { 'content-type': type, ...(gzip && { 'content-encoding': 'gzip' }) }
    let status = 0
    let text = ''
    try {
      const sent = chunks
        ? { body: new Blob([body as BlobPart]).stream(), duplex: 'half' as const }
        : { body: body as BodyInit }
      const answer = await fetch(url + path, { method: 'POST', headers, ...sent })
      status = answer.status
      text = await answer.text()
    } catch (error) {
      text = String((error as Error).cause ?? error)
    }
    const lines = status === 200 && text.trim().split('\n').length === 10_000
    check(
      `${path}: ${name}: ${status || text}`,
      expect.includes(status) && (status !== 200 || lines),
      text.slice(0, 500),
    )
  }
}
