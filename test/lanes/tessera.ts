/**
 * Judges of the `raw` profile, tiles and proofs, none of which shares code with us: Tessera's fsck rebuilds the root of
 * logs of telling sizes from their entries and compares every tile; its hammer writes and reads at load and checks every
 * checkpoint for consistency; torchwood verifies our tlog-proof files. Each judge must also refuse what is wrong, or its
 * consent would mean nothing.
 */
import { cpSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { equal, toUtf8 } from '../../src/core/bytes.ts'
import { leafHash, verifyInclusion } from '../../src/core/merkle.ts'
import { formatProof } from '../../src/core/proof-file.ts'
import { logFiles } from '../../src/store/folder.ts'
import {
  check,
  eventually,
  type Finished,
  initRaw,
  lane,
  ROOT,
  run,
  type Server,
  startServer,
  tempFolder,
  treelineServer,
} from './lane.ts'
import { policyOf, TileClient } from './tile-client.ts'
import { goTool } from './tools.ts'

const TESSERA = 'v1.0.4'
/** The edges of a bundle and of a tile, one more level, and one that hammer has to reach. */
const SIZES = [1, 255, 256, 257, 1000]
const HAMMERED = 69_000
const NAME = 'judged'
const SERVE = ['--publish-interval', '100']

async function judgeAll(): Promise<void> {
  const fsck = await goTool('github.com/transparency-dev/tessera/cmd/fsck', TESSERA)
  const hammer = await goTool('github.com/transparency-dev/tessera/internal/hammer', TESSERA)

  const data = tempFolder()
  const vkey = await initRaw(data, NAME, 'lane.example/judged')
  const keyFile = logFiles(data, NAME).vkey
  const foreign = tempFolder()
  // The same name and another key: only the signature can tell them apart.
  const foreignVkey = await initRaw(foreign, NAME, 'lane.example/judged')
  const foreignKeyFile = logFiles(foreign, NAME).vkey

  const judge = (server: Server, key = keyFile): Promise<Finished> =>
    run(fsck, [`--storage_url=${server.url}/${NAME}/`, `--public_key=${key}`, '--ui=false', '--N=4'])
  // fsck exits with 0 whatever it finds.
  const accepts = ({ output }: Finished, size?: number): boolean =>
    output.includes(`Successfully fsck'd log with size ${size ?? ''}`)

  const server = await startServer(data, SERVE)
  const client = new TileClient(`${server.url}/${NAME}`, vkey)
  for (const size of SIZES) {
    await growTo(server.url, client, size)
    const verdict = await judge(server)
    check(`fsck accepts a log of ${size}`, accepts(verdict, size), verdict.output)
    if (size === 257) await judgeProofs(client)
  }

  const load = (key: string, seconds: number): Promise<Finished> =>
    run(
      hammer,
      [
        `--log_url=${server.url}/${NAME}/`,
        `--log_public_key=${key}`,
        '--show_ui=false',
        '--num_writers=512',
        '--max_write_ops=50000',
        '--num_readers_full=4',
        '--num_readers_random=4',
        '--max_read_ops=200',
        '--leaf_min_size=200',
        `--leaf_write_goal=${HAMMERED}`,
        `--max_runtime=${seconds}s`,
      ],
      { seconds: seconds + 30 },
    )
  const began = performance.now()
  const hammered = await load(vkey, 240)
  const took = (performance.now() - began) / 1000
  check('hammer reaches its goal', hammered.output.includes('Reached tree size goal'), hammered.output)
  check('hammer has nothing to complain of', !complains(hammered), complaints(hammered))
  console.log(`  hammer: ${HAMMERED} entries of 200 bytes in ${took.toFixed(1)} s, ${Math.round(HAMMERED / took)}/s`)
  const { size } = await settled(client)
  check('the log holds what hammer wrote', size >= 1000 + HAMMERED, `it has ${size}`)
  const verdict = await judge(server)
  check(`fsck accepts the log that hammer wrote (${size})`, accepts(verdict, size), verdict.output)
  await judgeProof(client, 65_535, size)

  const foreignVerdict = await judge(server, foreignKeyFile)
  check('fsck refuses a foreign key', !accepts(foreignVerdict))
  const foreignHammer = await load(foreignVkey, 5)
  check(
    'hammer complains of a foreign key',
    complains(foreignHammer) && !foreignHammer.output.includes('Reached tree size goal'),
    foreignHammer.output,
  )
  check('the server stops when told to', (await server.stop()) === 0)

  // Negative controls: each flips one bit in a copy of the database, which must be all that fsck needs to refuse it.
  for (const [what, select, update] of [
    [
      'an entry',
      'SELECT first AS id, bundle AS bytes FROM entries LIMIT 1 OFFSET 300',
      'UPDATE entries SET bundle = ? WHERE first = ?',
    ],
    ['a tile', 'SELECT id, hashes AS bytes FROM tiles WHERE id = 5', 'UPDATE tiles SET hashes = ? WHERE id = ?'],
    [
      'a tile of level 1',
      'SELECT id, hashes AS bytes FROM tiles WHERE id = 1 << 48',
      'UPDATE tiles SET hashes = ? WHERE id = ?',
    ],
  ] as const) {
    const copy = tempFolder()
    cpSync(data, copy, { recursive: true })
    const db = new Database(logFiles(copy, NAME).database)
    const { id, bytes } = db.prepare(select).get() as { id: number; bytes: Buffer }
    bytes[bytes.length >> 1]! ^= 0x01
    db.prepare(update).run(bytes, id)
    db.close()
    const checked = await treelineServer('check', '--data', copy)
    check(`treeline-server check refuses a flipped bit in ${what}`, checked.code === 1, checked.output)
    const liar = await startServer(copy, SERVE)
    const { output } = await judge(liar)
    check(`fsck refuses a flipped bit in ${what}`, !accepts({ code: 0, output }) && /^E\d{4} /m.test(output), output)
    await liar.stop()
  }
  const sound = await treelineServer('check', '--data', data)
  check('treeline-server check accepts the log', sound.code === 0, sound.output)
}

/** Lines of klog that are not information. */
function complaints({ output }: Finished): string {
  return output
    .split('\n')
    .filter((line) => /^[WEF]\d{4} /.test(line))
    .join('\n')
}

function complains(finished: Finished): boolean {
  return complaints(finished) !== ''
}

const entryAt = (index: number): Uint8Array => toUtf8(`entry ${index} of the lane`)

/** Appends one after the other, so that each index is known, and waits for the checkpoint. */
async function growTo(url: string, client: TileClient, size: number): Promise<void> {
  const before = (await client.checkpoint()).size
  for (let index = before; index < size; index++) {
    const answer = await fetch(`${url}/${NAME}/add`, {
      method: 'POST',
      body: entryAt(index) as Uint8Array<ArrayBuffer>,
    })
    const text = await answer.text()
    if (answer.status !== 200 || text !== String(index)) throw new Error(`add: ${answer.status} ${text}, not ${index}`)
  }
  await eventually(`a checkpoint of ${size}`, async () =>
    (await client.checkpoint()).size === size ? true : undefined,
  )
}

/** The checkpoint after the last write: one that did not change for longer than the publisher waits. */
async function settled(client: TileClient): Promise<{ size: number }> {
  return eventually('a checkpoint that stays', async () => {
    const { size } = await client.checkpoint()
    await new Promise((resolve) => setTimeout(resolve, 500))
    return (await client.checkpoint()).size === size ? { size } : undefined
  })
}

const verifier = { file: '' }

/** Builds torchwood's verifier from test/tools, whose go.sum pins it. */
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

async function judgeProof(client: TileClient, index: number, size: number): Promise<ProofFiles> {
  const files = await proofFiles(client, index)
  const { code, output } = await torchwood(files.policy, files.entry, files.proof)
  check(`torchwood accepts the proof of ${index} in ${size}`, code === 0, output)
  return files
}

async function judgeProofs(client: TileClient): Promise<void> {
  const { policy, entry, proof } = await judgeProof(client, 200, 257)
  await judgeProof(client, 256, 257)

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
  writeFileSync(otherEntry, entryAt(201))
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

await lane(judgeAll)
