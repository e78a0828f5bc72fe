/**
 * Attestations that cosign wrote: submitted as they are, found in the log as what they say, and accepted by cosign after they have come back out of
 * it. What it must refuse, so that its yes means something: a flipped byte, another file, a stranger's key.
 */
import { createHash, createPublicKey } from 'node:crypto'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { verifyFile } from '../../src/client/verify.ts'
import { toBase64, toUtf8 } from '../../src/core/bytes.ts'
import { canonicalEnvelope } from '../../src/core/dsse.ts'
import { parsePublicKey } from '../../src/core/keys.ts'
import { parseWitnessPolicy } from '../../src/core/witness-policy.ts'
import { Actor } from '../support/actors.ts'
import { makeEventLog } from '../support/server.ts'
import { check, eventually, lane, must, run, startServer, tempFolder } from './lane.ts'
import { goTool } from './tools.ts'

const COSIGN = 'v2.6.1'
const ORIGIN = 'log.example/cosign'
const folder = tempFolder()
const at = (name: string): string => join(folder, name)
const hex = (text: string): string => createHash('sha256').update(text).digest('hex')
const MODEL = 'the model\n'
const DATA = 'the training data\n'

/** Nothing of whoever runs the lane reaches it. Without a network it warns that it has no roots of its own, and needs none for a key in a file. */
const env = { COSIGN_PASSWORD: 'lane', HOME: folder, TUF_ROOT: at('tuf') }

interface Attestation {
  readonly name: string
  /** As cosign's --type. */
  readonly type: string
  readonly predicate: object
  readonly predicateType: string
  readonly artifacts: readonly string[]
}

const ATTESTATIONS: readonly Attestation[] = [
  {
    name: 'SLSA provenance v1',
    type: 'slsaprovenance1',
    predicate: {
      buildDefinition: {
        buildType: 'https://example.com/train@v1',
        externalParameters: { epochs: 3 },
        resolvedDependencies: [{ name: 'train.csv', digest: { sha256: hex(DATA) } }],
      },
      runDetails: { builder: { id: 'https://example.com/runner' } },
    },
    predicateType: 'https://slsa.dev/provenance/v1',
    artifacts: [`produced sha256:${hex(MODEL)}`, `consumed sha256:${hex(DATA)}`],
  },
  {
    name: 'SLSA provenance v0.2',
    type: 'slsaprovenance02',
    predicate: {
      builder: { id: 'https://example.com/runner' },
      buildType: 'https://example.com/train@v1',
      materials: [{ uri: 'file:train.csv', digest: { sha256: hex(DATA) } }],
    },
    predicateType: 'https://slsa.dev/provenance/v0.2',
    artifacts: [`produced sha256:${hex(MODEL)}`, `consumed sha256:${hex(DATA)}`],
  },
  {
    name: 'a type of the user',
    type: 'https://example.com/evaluation/v1',
    predicate: { accuracy: 0.94 },
    predicateType: 'https://example.com/evaluation/v1',
    artifacts: [`examined sha256:${hex(MODEL)}`],
  },
]

await lane(async () => {
  const cosign = await goTool('github.com/sigstore/cosign/v2/cmd/cosign', COSIGN)
  writeFileSync(at('model.bin'), MODEL)
  writeFileSync(at('other.bin'), 'another model\n')
  for (const name of ['signer', 'stranger'])
    await must(cosign, ['generate-key-pair', '--output-key-prefix', at(name)], { env })
  const spki = createPublicKey(readFileSync(at('signer.pub'))).export({ format: 'der', type: 'spki' })
  const key = parsePublicKey(new Uint8Array(spki))
  const data = tempFolder()
  // What cosign signs with is no key of ours: only its public half goes into the policy.
  const signer = { actor: { key } as Actor }
  const { vkey } = await makeEventLog(data, [new Actor()], [signer], { name: 'cosign', origin: ORIGIN })
  const trust = parseWitnessPolicy(toUtf8(`log ${vkey}\nquorum none\n`))
  const server = await startServer(data, ['--publish-interval', '20'])
  const url = `${server.url}/cosign`

  const verdict = async (
    envelope: string | Uint8Array,
    type: string,
    { file = 'model.bin', pub = 'signer.pub' }: { file?: string; pub?: string } = {},
  ): Promise<boolean> => {
    writeFileSync(at('judged.json'), envelope)
    const flags = ['--key', at(pub), '--signature', at('judged.json'), '--type', type, '--insecure-ignore-tlog']
    const { code, output } = await run(cosign, ['verify-blob-attestation', ...flags, at(file)], { env })
    // Both, so that neither a program that ends early nor one that says yes and fails passes.
    return code === 0 && /^Verified OK$/m.test(output)
  }

  for (const one of ATTESTATIONS) {
    writeFileSync(at('predicate.json'), JSON.stringify(one.predicate))
    const made = ['--key', at('signer.key'), '--type', one.type, '--predicate', at('predicate.json')]
    const out = ['--tlog-upload=false', '--yes', '--output-signature', at('envelope.json'), at('model.bin')]
    await must(cosign, ['attest-blob', ...made, ...out], { env })
    const sent = readFileSync(at('envelope.json'))
    const answer = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: sent,
    })
    const said = await answer.text()
    check(`${one.name}: what cosign wrote is taken as it is`, answer.status === 201, said)
    const { index } = JSON.parse(said) as { index: number }

    const event = (await (await fetch(`${url}/v1/events/${index}`)).json()) as EventText
    const shown = event.artifacts.map(({ role, algorithm, digest }) => `${role} ${algorithm}:${digest}`)
    check(
      `${one.name}: shows up as what it says`,
      event.type === one.predicateType && JSON.stringify(shown) === JSON.stringify(one.artifacts),
      JSON.stringify(event),
    )
    const { payload } = JSON.parse(sent.toString()) as { payload: string }
    const returned = JSON.stringify(event.envelope)
    check(`${one.name}: the payload comes back byte for byte`, event.envelope.payload === payload)
    check(`${one.name}: cosign verifies what came back`, await verdict(returned, one.type))

    const file = await eventually('the evidence', async () => {
      const found = await fetch(`${url}/v1/evidence/${index}`)
      return found.ok ? new Uint8Array(await found.arrayBuffer()) : undefined
    })
    const verified = verifyFile({ file, trust })
    const kept = verified.kind === 'evidence' ? verified.evidence.envelope : undefined
    const signatures = kept?.signatures.map(({ signature }) => ({ key, signature })) ?? []
    check(
      `${one.name}: cosign verifies what the evidence file holds`,
      kept !== undefined && (await verdict(canonicalEnvelope(kept, signatures), one.type)),
    )

    const flipped = Buffer.from(payload, 'base64')
    flipped[flipped.indexOf('model.bin')]! ^= 0x01
    const forged = { ...event.envelope, payload: toBase64(new Uint8Array(flipped)) }
    check(`${one.name}: cosign refuses a flipped byte`, !(await verdict(JSON.stringify(forged), one.type)))
    const refused = await fetch(`${url}/v1/events`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(forged),
    })
    check(`${one.name}: so does the log`, refused.status === 403, await refused.text())
    check(`${one.name}: cosign refuses another file`, !(await verdict(returned, one.type, { file: 'other.bin' })))
    check(`${one.name}: cosign refuses a stranger's key`, !(await verdict(returned, one.type, { pub: 'stranger.pub' })))
  }
  check('the server ends well', (await server.stop()) === 0)
})

interface EventText {
  readonly type: string
  readonly artifacts: readonly { readonly role: string; readonly algorithm: string; readonly digest: string }[]
  readonly envelope: { readonly payload: string; readonly payloadType: string; readonly signatures: readonly object[] }
}
