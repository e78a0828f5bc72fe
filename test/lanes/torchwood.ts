/** torchwood's verifier of tlog-proof files, from test/tools, whose go.sum pins it; and what it must accept and refuse of ours. */
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { equal } from '../../src/core/bytes.ts'
import { leafHash, verifyInclusion } from '../../src/core/merkle.ts'
import { formatProof } from '../../src/core/proof-file.ts'
import { check, type Finished, ROOT, run, tempFolder } from './lane.ts'
import { policyOf, type TileClient } from './tile-client.ts'

const verifier = { file: '' }

/** Built when it is first needed. */
async function torchwood(...args: string[]): Promise<Finished> {
  if (verifier.file === '') {
    verifier.file = join(tempFolder(), 'verify-tlog-proof')
    const folder = join(ROOT, 'test/tools/verify-tlog-proof')
    const built = await run('go', ['build', '-C', folder, '-mod=readonly', '-o', verifier.file, '.'], { seconds: 300 })
    if (built.code !== 0) throw new Error(`test/tools/verify-tlog-proof does not build:\n${built.output}`)
  }
  return run(verifier.file, args)
}

interface ProofFiles {
  readonly policy: string
  readonly entry: string
  readonly proof: string
}

/** Writes a proof over one entry as the files that a stranger would get. */
async function proofFiles(client: TileClient, index: number): Promise<ProofFiles> {
  const { note, size, root } = await client.checkpoint()
  const hashes = await client.inclusion(index, size)
  const entry = (await client.bundle(Math.floor(index / 256), size))[index % 256]!
  check(
    `core accepts the proof of ${index} in ${size}`,
    verifyInclusion(BigInt(index), BigInt(size), leafHash(entry), hashes, root),
  )
  const folder = tempFolder()
  const files = {
    policy: join(folder, 'policy'),
    entry: join(folder, 'entry'),
    proof: join(folder, `${index}.tlog-proof`),
  }
  writeFileSync(files.policy, policyOf(client.vkey))
  writeFileSync(files.entry, entry)
  writeFileSync(files.proof, formatProof({ index: BigInt(index), hashes, checkpoint: note }))
  return files
}

/** Writes the proof of an entry and has it verified. */
export async function judgeProof(client: TileClient, index: number, size: number): Promise<ProofFiles> {
  const files = await proofFiles(client, index)
  const { code, output } = await torchwood(files.policy, files.entry, files.proof)
  check(`torchwood accepts the proof of ${index} in ${size}`, code === 0, output)
  return files
}

/** Has a file verified that the log wrote itself, and once more with one bit of a hash flipped. */
export async function judgeFile(what: string, vkey: string, entry: Uint8Array, proof: Uint8Array): Promise<void> {
  const folder = tempFolder()
  const [policy, entryFile, good, bad] = ['policy', 'entry', 'good', 'bad'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
    string,
  ]
  writeFileSync(policy, policyOf(vkey))
  writeFileSync(entryFile, entry)
  writeFileSync(good, proof)
  const flipped = new Uint8Array(proof)
  flipped[Buffer.from(proof).indexOf('\nindex ') + 20]! ^= 0x01
  writeFileSync(bad, flipped)
  const { code, output } = await torchwood(policy, entryFile, good)
  check(`torchwood accepts ${what}`, code === 0, output)
  check(`torchwood refuses ${what} with a flipped bit`, (await torchwood(policy, entryFile, bad)).code === 1)
}

/** Accepts the proof of `index` in `size`, and refuses it with any bit flipped, and for the entry after it. */
export async function judgeFlips(client: TileClient, index: number, size: number): Promise<void> {
  const { policy, entry, proof } = await judgeProof(client, index, size)

  const bytes = readFileSync(proof)
  const folder = tempFolder()
  const flipped: string[] = []
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const other = Buffer.from(bytes)
    other[bit >> 3]! ^= 1 << (bit & 7)
    if (sameToLenientBase64(bytes.toString('latin1'), other.toString('latin1'))) continue
    const file = join(folder, String(bit))
    writeFileSync(file, other)
    flipped.push(file)
  }
  const { output } = await torchwood(policy, entry, ...flipped)
  const lines = output.trimEnd().split('\n')
  const verified = lines.filter((line) => line.endsWith(': verified'))
  check(
    `torchwood refuses each of ${flipped.length} flipped bits`,
    flipped.length > 0 && lines.length === flipped.length && verified.length === 0,
    verified.join('\n'),
  )

  const otherEntry = join(folder, 'entry')
  writeFileSync(otherEntry, (await client.bundle(Math.floor((index + 1) / 256), size))[(index + 1) % 256]!)
  check('torchwood refuses another entry', (await torchwood(policy, otherEntry, proof)).code === 1)
}

/** Go reads base64 whose last symbol has stray bits. Such a flip changes the spelling, not the proof. */
function sameToLenientBase64(a: string, b: string): boolean {
  const [before, after] = [a.split('\n'), b.split('\n')]
  return before.length === after.length && before.every((line, i) => equal(lenient(line), lenient(after[i]!)))
}

const lenient = (line: string): Uint8Array => {
  const word = line.split(' ').at(-1)!
  const prefix = line.slice(0, line.length - word.length)
  return /^[A-Za-z0-9+/]{40,}=$/.test(word)
    ? Buffer.concat([Buffer.from(prefix, 'latin1'), Buffer.from(word, 'base64')])
    : Buffer.from(line, 'latin1')
}
