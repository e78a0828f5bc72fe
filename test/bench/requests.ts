/** The requests of a job, whole, as they go over the wire. */
import { createPrivateKey, createPublicKey, hash, randomBytes, sign } from 'node:crypto'
import { addendumHash, BLINDING_SIZE } from '../../src/core/addendum.ts'
import { BATCH_BODY, BATCH_HEADER, BatchRoot, formatBatchHeader, formatFrame } from '../../src/core/batch.ts'
import { concat } from '../../src/core/bytes.ts'
import { pae } from '../../src/core/dsse.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import type { Job } from './job.ts'

export function requestsOf({ host, port, what }: Job): Buffer[] {
  const base = `host: ${host}:${port}\r\n`
  if (what.kind === 'get') {
    return Array.from({ length: what.count }, (_, i) =>
      Buffer.from(`GET ${what.paths[i % what.paths.length]} HTTP/1.1\r\n${base}accept-encoding: gzip\r\n\r\n`),
    )
  }
  if (what.kind === 'post') {
    return what.bodies.map((body) =>
      Buffer.from(`POST ${what.path} HTTP/1.1\r\n${base}content-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`),
    )
  }
  const signers = what.keys.map(signerOf)
  if (what.kind === 'batches') {
    return Array.from({ length: what.count }, (_, i) => {
      const name = `${what.seed}-${i}`
      const payloads = Array.from({ length: what.items }, (_, j) => payloadOf(`${name}-${j}`, what.bytes))
      const body = batchBody(signers[i % signers.length]!, what.origin, payloads)
      const head = `POST ${what.path} HTTP/1.1\r\n${base}content-type: ${BATCH_BODY}\r\ncontent-length: ${body.length}\r\n\r\n`
      return Buffer.concat([Buffer.from(head), body])
    })
  }
  const requests: Buffer[] = []
  for (let at = 0; at < what.count; at += what.lines) {
    const lines = Array.from({ length: Math.min(what.lines, what.count - at) }, (_, i) =>
      envelope(signers[(at + i) % signers.length]!, `${what.seed}-${at + i}`, what.bytes),
    )
    const type = what.lines === 1 ? 'application/json' : 'application/x-ndjson'
    const body = lines.join('\n')
    requests.push(
      Buffer.from(
        `POST ${what.path} HTTP/1.1\r\n${base}content-type: ${type}\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
      ),
    )
  }
  return requests
}

export type Signer = ReturnType<typeof signerOf>

export function signerOf(pem: string) {
  const key = createPrivateKey(pem)
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return { key, keyid: hash('sha256', spki, 'hex') }
}

/** A statement of two artifacts, padded to `size` bytes where it is shorter. */
export function payloadOf(name: string, size: number): Buffer {
  const digest = (text: string) => ({ sha256: hash('sha256', text, 'hex') })
  const statement = (padding: string) =>
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name, digest: digest(`out ${name}`) }],
      predicateType: 'urn:treeline:bench:v1',
      predicate: { consumed: [{ name: 'in', digest: digest(`in ${name}`) }], padding },
    })
  return Buffer.from(statement('x'.repeat(Math.max(0, size - statement('').length))))
}

/** Of about `size` bytes. */
export function envelope(signer: Signer, name: string, size: number): string {
  const overhead = 330
  return signed(signer, IN_TOTO, payloadOf(name, Math.floor(((size - overhead) * 3) / 4)))
}

function signed({ key, keyid }: Signer, payloadType: string, payload: Uint8Array): string {
  const sig = sign(null, pae(payloadType, payload), key)
  return JSON.stringify({
    payloadType,
    payload: Buffer.from(payload).toString('base64'),
    signatures: [{ keyid, sig: sig.toString('base64') }],
  })
}

export function batchBody(signer: Signer, origin: string, payloads: readonly Buffer[]): Uint8Array {
  const root = BatchRoot.empty()
  const frames = payloads.map((payload) => {
    const addendum = concat(randomBytes(BLINDING_SIZE), payload)
    root.add(addendumHash(addendum))
    return formatFrame(addendum)
  })
  const header = formatBatchHeader({ origin, payloadType: IN_TOTO, size: payloads.length, root: root.root() })
  return concat(formatFrame(Buffer.from(signed(signer, BATCH_HEADER, header))), ...frames)
}
