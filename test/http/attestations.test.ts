import { createPublicKey, type KeyObject, X509Certificate } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t, { type Test } from 'tap'
import { verifyFile } from '../../src/client/verify.ts'
import { toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { parsePublicKey } from '../../src/core/keys.ts'
import { IN_TOTO } from '../../src/core/payload.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Actor, envelope } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, startServer, temporaryFolder } from '../support/server.ts'

const FOLDER = fileURLToPath(new URL('../vectors/attestations/', import.meta.url))
const read = (name: string): Buffer => readFileSync(join(FOLDER, name))

interface Expected {
  readonly type: string
  /** `role algorithm:digest`, in the order of the entry. */
  readonly artifacts: readonly string[]
  /** Digests that are no hex stand only in the payload. */
  readonly hidden?: number
}

const CURL = [
  'produced sha256:ad91970864102a59765e20ce16216efc9d6ad381471f7accceceab7d905703ef',
  'produced sha256:d4d5899a3868fbb6ae1856c3e55a32ce35913de3956d1973caccd37bd0174fa2',
  'consumed sha1:d6525c840a62b398424a78d792f457477135d0cf',
]
const RELEASE = { type: 'https://in-toto.io/attestation/release/v0.1', artifacts: [], hidden: 1 }
const REFERENCE = 'https://in-toto.io/attestation/reference/v0.1'
/** Written by hand from the files: what was made by the step of a provenance, and what others only looked at. */
const STATEMENTS: Readonly<Record<string, Expected>> = {
  'spec-reference-1.json': {
    type: REFERENCE,
    artifacts: ['examined sha256:886a77e9b9c993e221d1843e3af5b1fbeea26d8962995e8562174a6aba0c7cc9'],
  },
  'spec-reference-2.json': {
    type: REFERENCE,
    artifacts: [
      'examined sha256:680177210742d53016820ec118b6d7dd0be62758ad6d7f503e96927ced4809b4',
      'examined sha256:f1847f7e67aa18d0063fda3cbde8b61f84384fbf35c3dd4cfa8c4822400b5a64',
    ],
  },
  'spec-release-1.json': RELEASE,
  'spec-release-3.json': RELEASE,
  'spec-release-4.json': { ...RELEASE, type: 'https://github.com/npm/attestation/tree/main/specs/publish/v0.1' },
  'spec-scai.json': { type: 'https://in-toto.io/attestation/scai/v0.3', artifacts: [], hidden: 1 },
  'spec-slsa-provenance-v0.1.json': { type: 'https://slsa.dev/provenance/v0.1', artifacts: CURL },
  'spec-slsa-provenance-v0.2.json': { type: 'https://slsa.dev/provenance/v0.2', artifacts: CURL },
  'spec-test-result.json': {
    type: 'https://in-toto.io/attestation/test-result/v0.1',
    artifacts: ['examined gitCommit:d20ace7968ba43c0219f62d71334c1095bab1602'],
  },
}

/** An envelope that somebody else's tool wrote and somebody else's key signed. */
interface Signed extends Expected {
  readonly name: string
  readonly envelope: object
  readonly key: KeyObject
}

const certified = (pem: string | Buffer): KeyObject => new X509Certificate(pem).publicKey
const document = (name: string) => JSON.parse(read(name).toString())
const certificateOf = ({ verificationMaterial: { x509CertificateChain, certificate } }: Bundle): KeyObject =>
  certified(Buffer.from((certificate ?? x509CertificateChain!.certificates[0]!).rawBytes, 'base64'))
interface Bundle {
  readonly dsseEnvelope: object
  readonly verificationMaterial: {
    readonly certificate?: { readonly rawBytes: string }
    readonly x509CertificateChain?: { readonly certificates: readonly { readonly rawBytes: string }[] }
  }
}

const generator = document('signed-slsa-github-generator.json')
const github: Bundle = document('signed-github-attest-build-provenance.json')
const [publish, provenance] = document('signed-npm.json').attestations.map(({ bundle }: { bundle: Bundle }) => bundle)
const NPM =
  'sha512:f06fbf5c353cc0db093904b9cac0d53b412d83dff6b80e6047d9786708a38e5c3105cad4e913dfc22dbe8c999b3fe029d47969fe75406843b8163db6fd22f681'
const SIGNED: readonly Signed[] = [
  {
    name: 'slsa-github-generator',
    envelope: generator,
    key: certified(generator.signatures[0].cert),
    type: 'https://slsa.dev/provenance/v0.2',
    artifacts: [
      'produced sha256:1a8ae7c3a35eeaa392a10d96b9bff0ab9efd6cd31821536efac947ed4b390ee4',
      'consumed sha1:904e2c3e02725e314cf6cf141c4700081298dcbd',
    ],
  },
  {
    name: 'GitHub attest-build-provenance',
    envelope: github.dsseEnvelope,
    key: certificateOf(github),
    type: 'https://slsa.dev/provenance/v1',
    artifacts: [
      'produced sha256:1636f443b01c9ee310ee5834956d0dce374c3d3bf8d4cebc9f6b86f8304b4982',
      'consumed gitCommit:8f70009fde0c94ade6ce2a054b94718c819126ec',
    ],
  },
  {
    name: 'npm provenance',
    envelope: provenance.dsseEnvelope,
    key: certificateOf(provenance),
    type: 'https://slsa.dev/provenance/v1',
    artifacts: [`produced ${NPM}`, 'consumed gitCommit:46e7056ff9912ebfee5298d94024895a9fea76c0'],
  },
  {
    name: 'npm publish',
    envelope: publish.dsseEnvelope,
    key: createPublicKey(read('signed-npm.pem')),
    type: 'https://github.com/npm/attestation/tree/main/specs/publish/v0.1',
    artifacts: [`examined ${NPM}`],
  },
]

/** Signed with r and s side by side instead of in DER. */
const SUMMARY = { envelope: document('signed-vsa.json'), key: createPublicKey(read('signed-vsa.pem')) }

const signer = new Actor()
const strangers = [...SIGNED, SUMMARY].map(({ key }) => {
  const parsed = parsePublicKey(new Uint8Array(key.export({ format: 'der', type: 'spki' })))
  return { id: parsed.id, publicKey: toBase64(parsed.spki) }
})
const data = temporaryFolder(t)
const { vkey } = await makeEventLog(
  data,
  [new Actor()],
  [{ actor: signer }, ...strangers.map((stranger, i) => ({ actor: signer, name: `stranger-${i}`, ...stranger }))],
)
const server = await startServer(data)
t.teardown(() => server.close())
const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))

/** Sends an envelope as it is, and holds what the log then shows and proves against the expectation. */
async function logged(t: Test, body: string, payload: Uint8Array, expected: Expected, key: string): Promise<void> {
  const answer = await post(server.url, '/test/v1/events', body)
  t.equal(answer.status, 201, answer.body.toString())
  const { index } = json(answer)
  const event = json(await ask(server.url, `/test/v1/events/${index}`))
  t.equal(event.type, expected.type)
  t.strictSame(event.keys, [key])
  const shown = event.artifacts.map(
    ({ role, algorithm, digest }: Record<string, string>) => `${role} ${algorithm}:${digest}`,
  )
  t.strictSame([...shown].sort(), [...expected.artifacts].sort())
  t.equal(event.hidden, expected.hidden ?? 0)
  t.equal(event.envelope.payload, toBase64(payload), 'the payload is what was sent, byte for byte')
  const { body: file } = await untilPublished(index)
  const verified = verifyFile({ file: new Uint8Array(file), trust })
  t.strictSame(verified.kind === 'evidence' && verified.evidence.envelope?.payload, payload, 'and so in the evidence')
}

async function untilPublished(index: number) {
  for (;;) {
    const answer = await ask(server.url, `/test/v1/evidence/${index}`)
    if (answer.status !== 404) return answer
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

const bytesOf = (envelope: { payload?: string }): Uint8Array =>
  new Uint8Array(Buffer.from(envelope.payload ?? '', 'base64'))

t.test('statements of the in-toto and SLSA specifications', async (t) => {
  const files = readdirSync(FOLDER).filter((name) => name.startsWith('spec-'))
  t.strictSame(files.sort(), Object.keys(STATEMENTS).sort(), 'each file has its expectation')
  for (const name of files)
    await t.test(name, async (t) => {
      const payload = new Uint8Array(read(name))
      const body = envelope(IN_TOTO, Buffer.from(payload).toString(), [signer])
      await logged(t, body, payload, STATEMENTS[name]!, signer.key.id)
    })
})

t.test('envelopes that other tools wrote and other keys signed', async (t) => {
  for (const [i, one] of SIGNED.entries())
    await t.test(one.name, async (t) => {
      const body = JSON.stringify(one.envelope)
      await logged(t, body, bytesOf(one.envelope), one, strangers[i]!.id)
      // Known keys or not, a payload that they did not sign is refused.
      const payload = bytesOf(one.envelope)
      const changed = Buffer.from(payload)
        .toString('latin1')

        .replace('"name":"', '"name":"x')
      const forged = { ...one.envelope, payload: Buffer.from(changed, 'latin1').toString('base64') }
      t.not(forged.payload, toBase64(payload))
      t.equal((await post(server.url, '/test/v1/events', JSON.stringify(forged))).status, 403)
    })
})

t.test('a SLSA verification summary', async (t) => {
  const payload = bytesOf(SUMMARY.envelope)
  // An id of 19 digits is no hex of whole bytes.
  const expected = { type: 'https://slsa.dev/verification_summary/v1', artifacts: [], hidden: 1 }
  await logged(t, envelope(IN_TOTO, Buffer.from(payload).toString(), [signer]), payload, expected, signer.key.id)
  const answer = await post(server.url, '/test/v1/events', JSON.stringify(SUMMARY.envelope))
  t.equal(json(answer).code, 'UNKNOWN_KEY', 'as it was signed it is refused: ECDSA signatures are DER here')
  t.equal(SUMMARY.envelope.signatures[0].sig.length, 88, 'which is 64 bytes, not DER')
})
