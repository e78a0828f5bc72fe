/**
 * An acknowledged entry is on disk. Two views of it, for neither is enough alone:
 *
 * - The order of system calls. A process that is killed loses nothing that the kernel has, so only the trace shows that
 *   an answer waits for the disk: between reading a request and answering it, the journal is written and synced.
 * - kill -9 under load, many times: what was acknowledged is where it was said to be, every checkpoint that anyone saw
 *   is a prefix of the next, nothing is there twice, and the log still agrees with itself.
 *
 * Both must fail on a server that answers before it commits.
 */
import { Pool } from 'undici'
import { equal, fromUtf8, toUtf8 } from '../../src/core/bytes.ts'
import { leafHash, verifyConsistency } from '../../src/core/merkle.ts'
import { TILE_WIDTH } from '../../src/core/tile.ts'
import { Tree } from '../../src/core/tree.ts'
import { type Killed, type Load, loadAndKill, type Submission } from './crash.ts'
import { check, eventually, initRaw, lane, SERVER, startServer, tempFolder, treelineServer } from './lane.ts'
import { type Call, trace } from './strace.ts'
import { type SeenCheckpoint, TileClient } from './tile-client.ts'
import { needProgram } from './tools.ts'

const EARLY = 'test/lanes/early-answer-server.ts'
const NAME = 'crashed'
const SERVE = ['--publish-interval', '50']
const ROUNDS = 50
const LOAD: Load = { connections: 64, least: 500, spread: 500, delay: 30 }

async function durability(): Promise<void> {
  await needProgram('strace', 'apt-get install strace')
  await answersFollowTheDisk()
  await killedManyTimes()
  await earlyAnswersAreNoticed()
}

interface Traced {
  /** Answers of success that the trace shows. */
  readonly answers: number
  /** Those with no sync of the journal since their request. */
  readonly early: readonly string[]
  readonly sent: number
}

/** One connection alone, where no sync for a neighbour can hide a missing one, then several at once. */
async function traceAnswers(program: string): Promise<Traced> {
  const data = tempFolder()
  await initRaw(data, NAME, 'lane.example/traced')
  const server = await startServer(data, SERVE, program)
  let sent = 0
  const post = async (pool: Pool, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const { statusCode, body } = await pool.request({ method: 'POST', path: `/${NAME}/add`, body: `${sent++}` })
      await body.dump()
      if (statusCode !== 200) throw new Error(`add answered ${statusCode}`)
    }
  }
  const calls = await trace(server.process.pid!, async () => {
    for (const connections of [1, 16]) {
      const pool = new Pool(server.url, { connections })
      await Promise.all(Array.from({ length: connections }, () => post(pool, connections === 1 ? 100 : 20)))
      await pool.close()
    }
  })
  await server.stop()
  return { ...judgeTrace(calls), sent }
}

/** Every 2xx written to a socket must come after a journal that was written and synced after the last read from that socket. */
function judgeTrace(calls: readonly Call[]): { answers: number; early: string[] } {
  const early: string[] = []
  let answers = 0
  const journal = calls.filter(({ on, result }) => on.endsWith('log.db-wal') && result >= 0)
  const syncs = journal.filter(({ name }) => name === 'fsync' || name === 'fdatasync')
  const writes = journal.filter(({ name }) => name.startsWith('pwrite') || name.startsWith('write'))
  for (const answer of calls) {
    if (!/^(write|send)/.test(answer.name) || answer.on.startsWith('/') || !/"HTTP\/1\.1 2\d\d /.test(answer.args))
      continue
    answers++
    const request = calls.findLast(
      ({ name, on, result, ended }) => /^re/.test(name) && on === answer.on && result > 0 && ended < answer.began,
    )
    const synced = syncs.some(
      (sync) =>
        request !== undefined &&
        sync.ended < answer.began &&
        writes.some((write) => write.began > request.ended && write.ended < sync.began),
    )
    if (!synced) early.push(`${answer.name}(${answer.args.slice(0, 100)})`)
  }
  return { answers, early }
}

async function answersFollowTheDisk(): Promise<void> {
  const sound = await traceAnswers(SERVER)
  check(
    `each of ${sound.sent} answers follows a sync of the journal that came after its request`,
    sound.answers === sound.sent && sound.early.length === 0,
    `${sound.answers} answers seen, early:\n${sound.early.join('\n')}`,
  )
  const faulty = await traceAnswers(EARLY)
  check(
    'the trace shows a server that answers before it commits',
    faulty.answers === faulty.sent && faulty.early.length >= 100,
    `${faulty.answers} answers seen, ${faulty.early.length} early`,
  )
}

/** What the clients of a `raw` log know of it, over all its crashes. */
class RawWitness {
  readonly data = tempFolder()
  #vkey = ''
  #sent = 0
  /** By index. */
  readonly #acknowledged = new Map<number, string>()
  readonly #submitted = new Set<string>()
  readonly #seen: SeenCheckpoint[] = []

  async init(): Promise<void> {
    this.#vkey = await initRaw(this.data, NAME, 'lane.example/crashed')
  }

  get acknowledged(): number {
    return this.#acknowledged.size
  }

  get checkpoints(): number {
    return this.#seen.length
  }

  client(url: string): TileClient {
    return new TileClient(`${url}/${NAME}`, this.#vkey)
  }

  /** No two submissions are alike, so that an entry says which one it was. */
  next(): Submission {
    const text = `entry ${this.#sent++} ${'x'.repeat(this.#sent % 300)}`
    this.#submitted.add(text)
    return { path: `/${NAME}/add`, body: toUtf8(text) }
  }

  /** Returns what was wrong with the answers themselves. */
  remember({ answers, checkpoints }: Killed<Submission>): string[] {
    const wrong: string[] = []
    for (const { submission, status, body } of answers) {
      const index = Number(fromUtf8(body))
      if (status !== 200) wrong.push(`an answer of ${status}`)
      else if (this.#acknowledged.has(index)) wrong.push(`index ${index} was given twice`)
      else this.#acknowledged.set(index, fromUtf8(submission.body)!)
    }
    this.#seen.push(...checkpoints)
    return wrong
  }

  /** Reads the whole log as a stranger and returns every broken promise. */
  async audit(url: string): Promise<{ lost: string[]; wrong: string[] }> {
    const lost: string[] = []
    const wrong: string[] = []
    const client = this.client(url)
    const most = Math.max(-1, ...this.#acknowledged.keys())
    const now = await eventually(
      'a checkpoint that covers what was acknowledged',
      async () => {
        const checkpoint = await client.checkpoint()
        return checkpoint.size > most ? checkpoint : undefined
      },
      5,
    ).catch(() => client.checkpoint())

    const entries = new Map<number, string>()
    let tree = Tree.empty
    for (let bundle = 0; bundle * TILE_WIDTH < now.size; bundle++) {
      const raw = await client.bundle(bundle, now.size).catch((error: Error) => {
        wrong.push(`bundle ${bundle}: ${error.message}`)
        return []
      })
      tree = tree.append(raw.map(leafHash)).tree
      raw.forEach((entry, i) => {
        entries.set(bundle * TILE_WIDTH + i, fromUtf8(entry) ?? '')
      })
    }
    for (const [index, text] of this.#acknowledged) {
      if (entries.get(index) !== text) lost.push(`index ${index} was acknowledged and is ${entries.get(index)}`)
    }
    const texts = new Set(entries.values())
    if (texts.size !== entries.size) wrong.push(`${entries.size - texts.size} entries are there twice`)
    for (const text of texts) if (!this.#submitted.has(text)) wrong.push(`nobody submitted ${text}`)
    if (!equal(tree.root, now.root)) wrong.push(`the entries do not give the root of the checkpoint of ${now.size}`)

    for (const { size, root } of this.#seen.slice(-RECENT)) {
      try {
        const proof = size <= now.size ? await client.consistency(size, now.size) : []
        if (!verifyConsistency(BigInt(size), BigInt(now.size), root, now.root, proof))
          wrong.push(`the checkpoint of ${size} is no prefix of that of ${now.size}`)
      } catch (error) {
        wrong.push(`no consistency proof from ${size}: ${error}`)
      }
    }
    this.#seen.push(now)
    return { lost, wrong }
  }
}

/** Checkpoints that each audit compares with the newest; consistency is transitive. */
const RECENT = 20

async function killedManyTimes(): Promise<void> {
  const witness = new RawWitness()
  await witness.init()
  const lost: string[] = []
  const wrong: string[] = []
  const refused: string[] = []
  let unanswered = 0
  let round = 0
  let server = await startServer(witness.data, SERVE)
  for (; round < ROUNDS && lost.length + wrong.length + refused.length === 0; round++) {
    const killed = await loadAndKill(server, witness.client(server.url), () => witness.next(), LOAD)
    wrong.push(...witness.remember(killed))
    unanswered += killed.unanswered.length
    // Before the restart: it must agree with itself as the crash left it.
    const { code, output } = await treelineServer('check', '--data', witness.data)
    if (code !== 0) refused.push(output)
    server = await startServer(witness.data, SERVE)
    const found = await witness.audit(server.url)
    lost.push(...found.lost)
    wrong.push(...found.wrong)
  }
  console.log(`  ${round} kills, ${unanswered} requests in flight at them, ${witness.checkpoints} checkpoints compared`)
  const all = round === ROUNDS
  check(
    `each of ${witness.acknowledged} acknowledged entries is at its index`,
    all && lost.length === 0,
    lost.join('\n'),
  )
  check('no checkpoint is taken back, nothing is there twice', all && wrong.length === 0, wrong.join('\n'))
  check('treeline-server check accepts what each kill left behind', all && refused.length === 0, refused.join('\n'))
  check('requests were in flight at the kills', unanswered >= ROUNDS * (LOAD.connections / 2), `${unanswered}`)
  check('the server stops when told to', (await server.stop()) === 0)
}

async function earlyAnswersAreNoticed(): Promise<void> {
  const witness = new RawWitness()
  await witness.init()
  let lost = 0
  let round = 0
  for (; round < 10 && lost === 0; round++) {
    const faulty = await startServer(witness.data, SERVE, EARLY)
    witness.remember(await loadAndKill(faulty, witness.client(faulty.url), () => witness.next(), LOAD))
    const server = await startServer(witness.data, SERVE)
    lost = (await witness.audit(server.url)).lost.length
    await server.kill()
  }
  check('kills show a server that answers before it commits', lost > 0, `${round} kills, nothing lost`)
  console.log(`  ${lost} acknowledged entries lost by it at kill ${round}`)
}

await lane(durability)
