/**
 * The witness as a process: Tessera publishes through it, two liars race for it, and it is killed under load. What it answered must
 * hold after all of that.
 */
import { generateKeyPairSync } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Pool } from 'undici'
import { concat, equal, toBase64, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { originHash, parseCheckpoint } from '../../src/core/checkpoint.ts'
import { cosignatureVerifier } from '../../src/core/cosignature.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import { ED25519, parseNote, verifierKey, verifyNote } from '../../src/core/note.ts'
import { formatVkey, parseVkey } from '../../src/core/vkey.ts'
import { race } from '../witness/race.ts'
import { TwoFacedLog } from '../witness/two-faced-log.ts'
import { check, lane, must, run, type Server, startProgram, tempFolder } from './lane.ts'
import { trace } from './strace.ts'
import { goTool, needProgram } from './tools.ts'

const WITNESS = 'cmd/treeline-witness.ts'
const FAULTY = 'test/lanes/early-answer-witness.ts'
const TESSERA = 'v1.0.4'
const RACES = 2_000
const KILLS = 30

interface Folder {
  readonly data: string
  readonly logs: string
  /** Of Ed25519. */
  readonly vkey: string
}

async function initWitness(vkeys: readonly string[]): Promise<Folder> {
  const data = tempFolder()
  const output = await must(process.execPath, [WITNESS, 'init', '--data', data, '--name', 'witness.example/lane'])
  const logs = join(data, 'logs.json')
  writeFileSync(logs, JSON.stringify({ logs: vkeys.map((vkey) => ({ vkeys: [vkey] })) }))
  return { data, logs, vkey: output.trim() }
}

const startWitness = ({ data, logs }: Folder, program = WITNESS): Promise<Server> =>
  startProgram(program, ['run', '--data', data, '--logs', logs, '--listen', '127.0.0.1:0', '--log-level', 'error'])

/** (a) A log of others asks us, and refuses what it cannot verify. */
async function tessera(): Promise<void> {
  const oneshot = await goTool('github.com/transparency-dev/tessera/cmd/examples/posix-oneshot', TESSERA)
  const key = goKey('log.example/oneshot')
  const witness = await initWitness([key.vkey])
  const other = await initWitness([key.vkey])
  const server = await startWitness(witness)
  const folder = tempFolder()
  writeFileSync(join(folder, 'key'), key.secret)

  const publish = async (storage: string, entries: number, vkey: string) => {
    for (let i = 0; i < entries; i++) writeFileSync(join(folder, `entry-${entries}-${i}`), `entry ${i} of ${entries}`)
    const policy = join(folder, 'policy')
    writeFileSync(policy, `witness w ${vkey} ${server.url}\nquorum w\n`)
    return await run(
      oneshot,
      [
        `--storage_dir=${storage}`,
        `--entries=${folder}/entry-${entries}-*`,
        `--private_key=${join(folder, 'key')}`,
        `--witness_policy_file=${policy}`,
        '--witness_timeout=3s',
      ],
      { seconds: 12 },
    )
  }

  const storage = join(tempFolder(), 'log')
  for (const [entries, size] of [
    [5, 5n],
    [8, 13n],
  ] as const) {
    const { code, output } = await publish(storage, entries, witness.vkey)
    check(`Tessera publishes ${entries} entries through the witness`, code === 0, output)
    const note = parseNote(new Uint8Array(readFileSync(join(storage, 'checkpoint'))))
    const verified = verifyNote(note, [
      ed25519NoteVerifier(parseVkey(key.vkey)),
      cosignatureVerifier(parseVkey(witness.vkey)),
    ])
    check(`its checkpoint of ${size} carries our cosignature`, verified.length === 2)
    check(`and has that size`, parseCheckpoint(note.text).size === size, note.text)
  }
  const refused = join(tempFolder(), 'log')
  const { code, output } = await publish(refused, 3, other.vkey)
  check('Tessera publishes nothing where the witness at that URL has another key', code !== 0, output)
  const published = join(refused, 'checkpoint')
  const size = existsSync(published) ? parseCheckpoint(parseNote(readFileSync(published)).text).size : 0n
  check('and has no checkpoint with entries', size === 0n)
  await server.stop()
}

/** A key in the form of Go's sumdb. */
function goKey(name: string): { secret: string; vkey: string } {
  const { d = '', x = '' } = generateKeyPairSync('ed25519').privateKey.export({ format: 'jwk' })
  const key = verifierKey(name, ED25519, new Uint8Array(Buffer.from(x, 'base64url')))
  const seed = concat(Uint8Array.of(ED25519), new Uint8Array(Buffer.from(d, 'base64url')))
  return { secret: `PRIVATE+KEY+${name}+${toHex(key.keyId)}+${toBase64(seed)}`, vkey: formatVkey(key) }
}

/** (b) */
async function raceOfTwo(): Promise<void> {
  const log = new TwoFacedLog('log.example/race')
  const server = await startWitness(await initWitness([log.vkey]))
  const { wins, broken } = await race(server.url, log, RACES)
  check(
    `of ${RACES} races between two processes each has one winner, whose root is stored`,
    broken.length === 0,
    broken.join('\n'),
  )
  check(`each of the two won some (${wins})`, Math.min(...wins) > 0 && wins[0] + wins[1] === RACES)
  await server.stop()
}

/** (d) A kill leaves the page cache alive, so the order of system calls says what it cannot. */
async function syncedBeforeAnswered(program: string): Promise<{ answers: number; unsynced: number }> {
  const log = new TwoFacedLog('log.example/synced')
  const server = await startWitness(await initWitness([log.vkey]), program)
  const calls = await trace(server.process.pid!, async () => {
    for (let i = 0; i < 20; i++) {
      log.append(`entry ${i}`)
      const answer = await fetch(`${server.url}/add-checkpoint`, { method: 'POST', body: log.request(i) as BodyInit })
      if (answer.status !== 200) throw new Error(`${answer.status}: ${await answer.text()}`)
      await answer.text()
    }
  })
  await server.kill()
  let synced = false
  let answers = 0
  let unsynced = 0
  for (const { name, on, args, result } of calls) {
    if (name === 'fsync' && on.endsWith('witness.db-wal') && result === 0) synced = true
    if (/^(write|writev|sendto|sendmsg)$/.test(name) && args.includes('HTTP/1.1 200')) {
      answers++
      if (!synced) unsynced++
      synced = false
    }
  }
  return { answers, unsynced }
}

interface Kills {
  readonly answered: number
  readonly broken: string[]
}

/** (c) Grows logs over several connections, kills the witness at a random moment, and holds it to what it answered. */
async function killUnderLoad(rounds: number, program: string): Promise<Kills> {
  const logs = Array.from({ length: 4 }, (_, i) => new TwoFacedLog(`log.example/load-${i}`, 10 + i))
  const folder = await initWitness(logs.map(({ vkey }) => vkey))
  const broken: string[] = []
  let answered = 0
  /** The largest answered size of each. */
  const known = logs.map(() => 0)
  for (let round = 0; round < rounds && broken.length === 0; round++) {
    const server = await startWitness(folder, program)
    const pool = new Pool(server.url, { connections: logs.length })
    let dead = false
    const load = logs.map(async (log, i) => {
      while (!dead) {
        log.append(`entry ${log.size}`)
        const old = known[i]!
        const size = log.size
        try {
          const answer = await pool.request({ method: 'POST', path: '/add-checkpoint', body: log.request(old, size) })
          const text = await answer.body.text()
          if (answer.statusCode === 200) {
            known[i] = size
            answered++
          } else if (answer.statusCode === 409 && Number(text) > old) {
            // Stored, and its answer was lost with the process.
            known[i] = Number(text)
          } else broken.push(`round ${round}: ${answer.statusCode} ${text} for ${old} to ${size}`)
          if (broken.length > 0) return
        } catch {
          // The kill: this one may be stored or not.
          return
        }
      }
    })
    await new Promise((resolve) => setTimeout(resolve, 60 + Math.random() * 120))
    const killed = server.kill()
    dead = true
    await Promise.all([killed, ...load])
    await pool.destroy()

    const again = await startWitness(folder)
    for (const [i, log] of logs.entries()) {
      const answer = await fetch(`${again.url}/${originHash(log.origin)}/checkpoint`)
      const text = await answer.text()
      if (answer.status === 404) {
        if (known[i]! > 0)
          broken.push(`round ${round}: ${known[i]} was answered for ${log.origin}, and nothing is stored`)
        continue
      }
      const note = parseNote(toUtf8(text))
      verifyNote(note, [cosignatureVerifier(parseVkey(folder.vkey))])
      const { size, root } = parseCheckpoint(note.text)
      if (size < BigInt(known[i]!)) broken.push(`round ${round}: ${known[i]} was answered, and ${size} is stored`)
      else if (!equal(root, log.root(Number(size)))) broken.push(`round ${round}: another root is stored at ${size}`)
      else known[i] = Number(size)
    }
    await again.stop()
  }
  return { answered, broken }
}

await lane(async () => {
  await needProgram('strace', 'apt-get install strace')
  await tessera()
  await raceOfTwo()
  const traced = await syncedBeforeAnswered(WITNESS)
  check(
    'each of 20 answers follows an fsync of the journal',
    traced.answers === 20 && traced.unsynced === 0,
    JSON.stringify(traced),
  )
  const control = await syncedBeforeAnswered(FAULTY)
  check('those of a witness that answers before it stores do not', control.unsynced > 0, JSON.stringify(control))
  const { answered, broken } = await killUnderLoad(KILLS, WITNESS)
  check(
    `after ${KILLS} kills nothing of ${answered} answers is lost or contradicted`,
    broken.length === 0,
    broken.join('\n'),
  )
  check('the load was a load', answered > KILLS * 10, `${answered}`)
  const careless = await killUnderLoad(KILLS, FAULTY)
  check('a witness that answers before it stores is found out', careless.broken.length > 0)
  console.log(`  ${careless.broken[0] ?? ''}`)
})
