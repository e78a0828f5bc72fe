/**
 * Judges of logs, tiles and proofs, none of which shares code with us: Tessera's fsck rebuilds the root of logs of telling
 * sizes, of both profiles, from their entries and compares every tile; its hammer writes and reads at load and checks every
 * checkpoint for consistency; torchwood verifies our tlog-proof files. Each judge must also refuse what is wrong, or its
 * consent would mean nothing.
 */
import { fromBase64, toUtf8 } from '../../src/core/bytes.ts'
import { logFiles } from '../../src/store/folder.ts'
import { Actor, event } from '../support/actors.ts'
import { makeEventLog } from '../support/server.ts'
import { Fsck, TESSERA } from './fsck.ts'
import { check, eventually, type Finished, initRaw, lane, run, startServer, tempFolder } from './lane.ts'
import { TileClient } from './tile-client.ts'
import { goTool } from './tools.ts'
import { judgeFile, judgeFlips, judgeProof } from './torchwood.ts'

/** The edges of a bundle and of a tile, one more level, and one that hammer has to reach. */
const SIZES = [1, 255, 256, 257, 1000]
const HAMMERED = 69_000
const NAME = 'judged'
const SERVE = ['--publish-interval', '100']

async function judgeAll(): Promise<void> {
  await judgeRaw()
  await judgeEvents()
}

async function judgeRaw(): Promise<void> {
  const hammer = await goTool('github.com/transparency-dev/tessera/internal/hammer', TESSERA)

  const data = tempFolder()
  const vkey = await initRaw(data, NAME, 'lane.example/judged')
  const foreign = tempFolder()
  // The same name and another key: only the signature can tell them apart.
  const foreignVkey = await initRaw(foreign, NAME, 'lane.example/judged')
  const foreignKeyFile = logFiles(foreign, NAME).vkey

  const fsck = await Fsck.of(data, NAME)
  const server = await startServer(data, SERVE)
  const client = new TileClient(`${server.url}/${NAME}`, vkey)
  for (const size of SIZES) {
    await growTo(server.url, client, size)
    await fsck.accepts(server.url, size)
    if (size === 257) {
      await judgeFlips(client, 200, 257)
      await judgeProof(client, 256, 257)
    }
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
  await fsck.accepts(server.url, size)
  await judgeProof(client, 65_535, size)

  await fsck.refusesForeignKey(server.url, foreignKeyFile)
  const foreignHammer = await load(foreignVkey, 5)
  check(
    'hammer complains of a foreign key',
    complains(foreignHammer) && !foreignHammer.output.includes('Reached tree size goal'),
    foreignHammer.output,
  )
  check('the server stops when told to', (await server.stop()) === 0)

  await fsck.refusesFlips(['an entry', 'a tile', 'a tile of level 1'], SERVE)
}

/** The same of signed events, whose entries the log makes itself; and the proofs that it gives away as files. */
async function judgeEvents(): Promise<void> {
  const data = tempFolder()
  const origin = 'lane.example/judged-events'
  const signers = [new Actor(), new Actor('p256')]
  const rules = signers.map((actor) => ({ actor }))
  const { vkey } = await makeEventLog(data, [new Actor()], rules, { name: NAME, origin })
  const foreign = tempFolder()
  await makeEventLog(foreign, [new Actor()], rules, { name: NAME, origin })
  const fsck = await Fsck.of(data, NAME)
  const server = await startServer(data, SERVE)
  const base = `${server.url}/${NAME}`
  const client = new TileClient(base, vkey)
  for (const size of [1, 2, 255, 256, 257, 1000]) {
    const before = (await client.checkpoint()).size
    const lines = Array.from({ length: size - before }, (_, i) => event(signers[i % 2]!, `model ${before + i}`))
    if (lines.length > 0) await postLines(`${base}/v1/events/batch`, lines)
    await reached(client, size)
    await fsck.accepts(server.url, size)
  }

  const receipt = await fetch(`${base}/v1/events`, {
    method: 'POST',
    headers: { accept: 'text/plain', 'content-type': 'application/json' },
    body: event(signers[0]!, 'proved'),
  })
  const proof = new Uint8Array(await receipt.arrayBuffer())
  const { entry } = (await (await fetch(`${base}/v1/events/1000`)).json()) as { entry: string }
  await judgeFile('the receipt that the log wrote as a file', vkey, fromBase64(entry)!, proof)
  await reached(client, 1001)
  const evidence = await client.get('v1/evidence/1000')
  await judgeFile('an evidence file', vkey, fromBase64(entry)!, evidence)

  await fsck.refusesForeignKey(server.url, logFiles(foreign, NAME).vkey)
  check('the server of events stops when told to', (await server.stop()) === 0)
  await fsck.refusesFlips(['an entry', 'a tile'], SERVE)
}

async function postLines(url: string, lines: readonly string[]): Promise<void> {
  const headers = { 'content-type': 'application/x-ndjson' }
  const answer = await fetch(url, { method: 'POST', headers, body: lines.join('\n') })
  const statuses = (await answer.text())
    .trimEnd()
    .split('\n')
    .map((line) => (JSON.parse(line) as { status: number }).status)
  if (statuses.length !== lines.length || statuses.some((status) => status !== 201)) throw new Error(`${statuses}`)
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
  await reached(client, size)
}

const reached = (client: TileClient, size: number): Promise<boolean> =>
  eventually(`a checkpoint of ${size}`, async () => ((await client.checkpoint()).size === size ? true : undefined))

/** The checkpoint after the last write: one that did not change for longer than the publisher waits. */
async function settled(client: TileClient): Promise<{ size: number }> {
  return eventually('a checkpoint that stays', async () => {
    const { size } = await client.checkpoint()
    await new Promise((resolve) => setTimeout(resolve, 500))
    return (await client.checkpoint()).size === size ? { size } : undefined
  })
}

await lane(judgeAll)
