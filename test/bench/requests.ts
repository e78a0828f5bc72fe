/** The requests of a job, whole, as they go over the wire. */
import { createPrivateKey, createPublicKey, hash, sign } from 'node:crypto'
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

function signerOf(pem: string) {
  const key = createPrivateKey(pem)
  const spki = createPublicKey(key).export({ format: 'der', type: 'spki' })
  return { key, keyid: hash('sha256', spki, 'hex') }
}

/** A statement of two artifacts, padded so that the envelope has about `size` bytes. */
function envelope({ key, keyid }: ReturnType<typeof signerOf>, name: string, size: number): string {
  const digest = (text: string) => ({ sha256: hash('sha256', text, 'hex') })
  const statement = (padding: string) =>
    JSON.stringify({
      _type: 'https://in-toto.io/Statement/v1',
      subject: [{ name, digest: digest(`out ${name}`) }],
      predicateType: 'urn:treeline:bench:v1',
      predicate: { consumed: [{ name: 'in', digest: digest(`in ${name}`) }], padding },
    })
  const overhead = 330
  const room = Math.floor(((size - overhead) * 3) / 4) - statement('').length
  const payload = Buffer.from(statement('x'.repeat(Math.max(0, room))))
  const sig = sign(null, pae(IN_TOTO, payload), key)
  return JSON.stringify({
    payloadType: IN_TOTO,
    payload: payload.toString('base64'),
    signatures: [{ keyid, sig: sig.toString('base64') }],
  })
}
