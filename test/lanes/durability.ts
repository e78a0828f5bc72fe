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
import { type Load, loadAndKill, type Memory } from './crash.ts'
import { EventMemory } from './event-memory.ts'
import { check, lane, SERVER, startServer, treelineServer } from './lane.ts'
import { RawMemory } from './raw-memory.ts'
import { type Call, trace } from './strace.ts'
import { needProgram } from './tools.ts'

const EARLY = 'test/lanes/early-answer-server.ts'
const SERVE = ['--publish-interval', '50']
const WORKERS = ['--workers', '2', '--max-connections', '1024']
const LOAD: Load = { connections: 64, least: 250, spread: 500, delay: 30 }

async function durability(): Promise<void> {
  await needProgram('strace', 'apt-get install strace')
  await answersFollowTheDisk('raw', () => new RawMemory())
  await answersFollowTheDisk('events', () => new EventMemory())
  await answersFollowTheDisk('events with workers', () => new EventMemory(), WORKERS)
  await killedManyTimes('raw', 12, new RawMemory(), [])
  await earlyAnswersAreNoticed('raw', new RawMemory())
  await killedManyTimes('events', 20, new EventMemory(), [])
  await killedManyTimes('events with workers', 20, new EventMemory(), WORKERS)
  await earlyAnswersAreNoticed('events', new EventMemory())
}

interface Traced {
  /** Answers of success that the trace shows. */
  readonly answers: number
  /** Those with no sync of the journal since their request. */
  readonly early: readonly string[]
  /** Those on anything but a TCP connection, by what it is: between threads, or what strace could not name. */
  readonly elsewhere: readonly string[]
  readonly sent: number
}

/** One connection alone, where no sync for a neighbour can hide a missing one, then several at once. */
async function traceAnswers(program: string, log: Memory, flags: readonly string[]): Promise<Traced> {
  await log.init()
  const server = await startServer(log.data, [...SERVE, ...flags], program)
  let sent = 0
  const post = async (pool: Pool, count: number): Promise<void> => {
    for (let i = 0; i < count; i++) {
      const { path, headers = {}, body } = log.next()
      const answer = await pool.request({ method: 'POST', path, headers, body })
      await answer.body.dump()
      if (answer.statusCode !== 200 && answer.statusCode !== 201) throw new Error(`the answer is ${answer.statusCode}`)
      sent++
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
function judgeTrace(calls: readonly Call[]): Omit<Traced, 'sent'> {
  const early: string[] = []
  const elsewhere = new Set<string>()
  let answers = 0
  const journal = calls.filter(({ on, result }) => on.endsWith('log.db-wal') && result >= 0)
  const syncs = journal.filter(({ name }) => name === 'fsync' || name === 'fdatasync')
  const writes = journal.filter(({ name }) => name.startsWith('pwrite') || name.startsWith('write'))
  for (const answer of calls) {
    // What a thread passes on is answered over a socket between threads first; what a client is told goes over TCP.
    if (!/^(write|send)/.test(answer.name) || !/"HTTP\/1\.1 2\d\d /.test(answer.args)) continue
    if (!answer.on.startsWith('TCP')) {
      elsewhere.add(answer.on)
      continue
    }
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
  return { answers, early, elsewhere: [...elsewhere] }
}

async function answersFollowTheDisk(profile: string, make: () => Memory, flags: readonly string[] = []): Promise<void> {
  const sound = await traceAnswers(SERVER, make(), flags)
  check(
    `${profile}: each of ${sound.sent} answers follows a sync of the journal that came after its request`,
    sound.answers === sound.sent && sound.early.length === 0,
    `${sound.answers} answers seen, early:\n${sound.early.join('\n')}\non no TCP:\n${sound.elsewhere.join('\n')}`,
  )
  const faulty = await traceAnswers(EARLY, make(), flags)
  check(
    `${profile}: the trace shows a server that answers before it commits`,
    // The sync of an answer before can fall where this one's should be: of a slow trace many are, and never all.
    faulty.answers > faulty.sent / 2 && faulty.early.length >= 20,
    `${faulty.answers} answers seen, ${faulty.early.length} early`,
  )
}

async function killedManyTimes(
  profile: string,
  rounds: number,
  witness: Memory,
  flags: readonly string[],
): Promise<void> {
  await witness.init()
  const lost: string[] = []
  const wrong: string[] = []
  const refused: string[] = []
  let unanswered = 0
  let round = 0
  let server = await startServer(witness.data, [...SERVE, ...flags])
  for (; round < rounds && lost.length + wrong.length + refused.length === 0; round++) {
    const killed = await loadAndKill(server, witness.client(server.url), () => witness.next(), LOAD)
    wrong.push(...witness.remember(killed))
    unanswered += killed.unanswered.length
    // Before the restart: it must agree with itself as the crash left it.
    const { code, output } = await treelineServer('check', '--data', witness.data)
    if (code !== 0) refused.push(output)
    server = await startServer(witness.data, [...SERVE, ...flags])
    const found = await witness.audit(server.url)
    lost.push(...found.lost)
    wrong.push(...found.wrong)
  }
  console.log(
    `  ${profile}: ${round} kills, ${unanswered} requests in flight at them, ${witness.checkpoints} checkpoints compared`,
  )
  const all = round === rounds
  check(
    `${profile}: each of ${witness.acknowledged} acknowledged entries is at its index`,
    all && lost.length === 0,
    lost.join('\n'),
  )
  check(`${profile}: no checkpoint is taken back, nothing is there twice`, all && wrong.length === 0, wrong.join('\n'))
  check(
    `${profile}: treeline-server check accepts what each kill left behind`,
    all && refused.length === 0,
    refused.join('\n'),
  )
  check(
    `${profile}: requests were in flight at the kills`,
    unanswered >= rounds * (LOAD.connections / 2),
    `${unanswered}`,
  )
  check(`${profile}: the server stops when told to`, (await server.stop()) === 0)
}

async function earlyAnswersAreNoticed(profile: string, witness: Memory): Promise<void> {
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
  check(`${profile}: kills show a server that answers before it commits`, lost > 0, `${round} kills, nothing lost`)
  console.log(`  ${lost} acknowledged entries lost by it at kill ${round}`)
}

await lane(durability)
