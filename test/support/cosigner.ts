/** A witness that answers over real HTTP as a test wants it to: it checks consistency, or breaks its word in one way. */
import { createHash, generateKeyPairSync, sign } from 'node:crypto'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { parseAddCheckpoint } from '../../src/core/add-checkpoint.ts'
import { toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { cosignatureSigner } from '../../src/core/cosignature.ts'
import { verifyConsistency } from '../../src/core/merkle.ts'
import {
  COSIGNATURE_ED25519,
  formatNote,
  formatSignatureLine,
  type NoteSigner,
  parseNote,
  signLine,
  verifierKey,
} from '../../src/core/note.ts'
import { formatVkey } from '../../src/core/vkey.ts'

/** Answers in the witness's place, or returns false to let it answer. */
type Misbehave = (response: ServerResponse, path: string) => boolean

export class TestCosigner {
  readonly name: string
  readonly vkey: string
  readonly #signer: NoteSigner
  #url = ''
  size = 0n
  root: Uint8Array = new Uint8Array(0)
  shown: string | undefined
  /** `old` of each request, in order. */
  readonly asked: bigint[] = []
  /** Signature lines of the last request. */
  lines = 0
  time = 1_767_225_600n
  misbehave: Misbehave = () => false

  constructor(name: string) {
    this.name = name
    const { privateKey, publicKey } = generateKeyPairSync('ed25519')
    const raw = new Uint8Array(Buffer.from(publicKey.export({ format: 'jwk' }).x!, 'base64url'))
    const key = verifierKey(name, COSIGNATURE_ED25519, raw)
    this.vkey = formatVkey(key)
    this.#signer = cosignatureSigner(
      key,
      (message) => new Uint8Array(sign(null, message, privateKey)),
      () => this.time,
    )
  }

  async listen(t: { teardown(f: () => unknown): unknown }): Promise<this> {
    const server = createServer(async (request, response) => {
      const parts: Buffer[] = []
      for await (const part of request) parts.push(part as Buffer)
      const path = request.url ?? ''
      if (this.misbehave(response, path)) return
      if (path === '/w/add-checkpoint') this.#add(response, new Uint8Array(Buffer.concat(parts)))
      else response.writeHead(this.shown === undefined ? 404 : 200).end(this.shown ?? '')
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    this.#url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/w`
    t.teardown(() => {
      server.closeAllConnections()
      server.close()
    })
    return this
  }

  /** Its line in a witness policy. */
  get line(): string {
    return `witness ${this.name} ${this.vkey} ${this.#url}/\n`
  }

  /** Where it shows what it cosigned of an origin. */
  static monitoringPath = (origin: string): string =>
    `/w/${createHash('sha256').update(origin).digest('hex')}/checkpoint`

  #add(response: ServerResponse, body: Uint8Array): void {
    const { old, proof, note: bytes } = parseAddCheckpoint(body)
    const note = parseNote(bytes)
    const { size, root } = parseCheckpoint(note.text)
    this.asked.push(old)
    this.lines = note.signatures.length
    if (old !== this.size) {
      response.writeHead(409, { 'content-type': 'text/x.tlog.size' }).end(`${this.size}\n`)
    } else if (old !== 0n && !verifyConsistency(old, size, this.root, root, proof)) {
      response.writeHead(422).end()
    } else {
      this.size = size
      this.root = root
      const line = signLine(note.text, this.#signer)
      this.shown = formatNote({ text: note.text, signatures: [...note.signatures, line] })
      response.writeHead(200, { 'content-type': 'text/plain' }).end(formatSignatureLine(line))
    }
  }

  /** Its cosignature of a note, as a note that everybody can read. */
  cosign(text: string): string {
    const note = parseNote(toUtf8(text))
    return formatNote({ text: note.text, signatures: [...note.signatures, signLine(note.text, this.#signer)] })
  }
}
