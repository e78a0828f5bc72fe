/**
 * One bit of a log's database flips, at each kind of page: whatever changes what the log serves, or by what it knows an event again, is noticed by
 * `treeline-server check`, by SQLite, by the start of the log, or, where it is a checkpoint, by whoever verifies it. And the witness, which reads entries and documents again, is not deceived.
 */
import { createHash } from 'node:crypto'
import { closeSync, cpSync, openSync, readFileSync, readSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { toUtf8 } from '../../src/core/bytes.ts'
import { addendumDigest } from '../../src/core/entry.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { parseWitnessPolicy, verifyCheckpoint, type WitnessPolicy } from '../../src/core/witness-policy.ts'
import { checkLog } from '../../src/log/check-log.ts'
import { logFiles } from '../../src/store/folder.ts'
import { loadLogVkey } from '../../src/store/log-key.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { Auditor } from '../../witness/auditor.ts'
import { openState } from '../../witness/folder.ts'
import { logVerifier, nativeVerify } from '../../witness/native-verify.ts'
import { fillEvents } from '../bench/fill.ts'
import { Actor, event, redactionRequest, signedPolicy } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { makeEventLog, ORIGIN, startServer } from '../support/server.ts'
import { admins, HOUR, setUp, signer } from '../witness/watched-log.ts'
import { check, eventually, lane, tempFolder } from './lane.ts'
import { openLog } from './open-log.ts'

/** More than are packed at once, so that both kinds of rows are there. */
const EVENTS = 4_200
/** More than a run of digests. */
const MANY = 17_000
/** Of each kind of page. */
const FLIPS = 20

type Watched = Awaited<ReturnType<typeof setUp>>

interface Site {
  /** Table or index, and kind of page. */
  readonly kind: string
  /** In the file. */
  readonly offset: number
  readonly bit: number
}

type Noticed = 'check' | 'serving' | 'start' | 'readers' | 'harmless' | 'NOBODY'

async function flips(): Promise<void> {
  const undo: (() => unknown)[] = []
  const one = await setUp({ teardown: (f) => undo.unshift(f) })
  await live(one)
  await one.server.close()
  const data = join(tempFolder(), 'data')
  cpSync(one.data, data, { recursive: true })
  const { database } = logFiles(data, 'test')
  const store = SqliteStore.open(database)
  await store.erase()
  await store.close()

  const cosigner = readFileSync(join(one.folder, 'witness.vkey'), 'utf8').trim()
  const trust = parseWitnessPolicy(toUtf8(`log ${one.vkey}\nwitness w ${cosigner}\nquorum w\n`))
  const sound = await servedBy(database)
  const found = new Map<string, Map<Noticed, number>>()
  const unnoticed: string[] = []
  const wrong: Site[] = []
  const sites = sitesOf(database)
  for (const site of sites) {
    const noticed = await flipped(database, site, () => judge(data, trust, sound, true))
    const counts = found.get(site.kind) ?? new Map<Noticed, number>()
    counts.set(noticed, (counts.get(noticed) ?? 0) + 1)
    found.set(site.kind, counts)
    if (noticed === 'NOBODY') unnoticed.push(`bit ${site.bit} of byte ${site.offset}, in ${site.kind}`)
    if (noticed !== 'check' || !/^(entries|addenda) leaf/.test(site.kind)) continue
    // Not where only a gap of the page is described in another way.
    const served = await flipped(database, site, () => servedBy(database).catch(() => undefined))
    if (served?.all !== sound.all) wrong.push(site)
  }
  for (const [kind, counts] of found)
    console.log(`  ${kind}: ${[...counts].map(([by, count]) => `${by} ${count}`).join(', ')}`)
  const by = (who: Noticed): number => [...found.values()].reduce((sum, counts) => sum + (counts.get(who) ?? 0), 0)
  check(`${sites.length} flips, of ${found.size} kinds of pages`, sites.length >= 200 && found.size >= 10)
  check('no flip changes what is served unnoticed', unnoticed.length === 0, unnoticed.join('\n'))
  check('some are found by check, and some are harmless', by('check') > 50 && by('harmless') > 10)

  const documents = wrong.filter(({ kind }) => kind.startsWith('addenda'))
  const blind: Noticed[] = []
  for (const site of documents.slice(0, 10))
    blind.push(await flipped(database, site, () => judge(data, trust, sound, false)))
  check('a check of the tree alone is found out', blind.includes('NOBODY'), blind.join())

  check('the witness audits the sound log to its end', (await audited(one, data)) === 'all of it')
  const entries = wrong.filter(({ kind }) => kind.startsWith('entries'))
  for (const [what, some] of [
    ['entries', entries],
    ['documents', documents],
  ] as const) {
    const said: string[] = []
    for (const site of some.slice(0, 5)) said.push(await flipped(database, site, () => audited(one, data)))
    console.log(`  the witness, of ${what}: ${said.join('; ').slice(0, 1000)}`)
    check(`the witness notices flips in ${what}`, said.length === 5 && !said.includes('all of it'), said.join('\n'))
  }
  await digests()
  for (const f of undo) await Promise.resolve(f()).catch(() => {})
}

/** Where known events are found: nothing that is served comes from there, and an event that is not found would be logged twice. */
async function digests(): Promise<void> {
  const data = join(tempFolder(), 'many')
  const actor = new Actor()
  await makeEventLog(data, [new Actor()], [{ actor }])
  await fillEvents(data, MANY, [actor.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString()], 100, () => {})
  const { database, vkey } = logFiles(data, 'test')
  const runs = sitesOf(database).filter(({ kind }) => kind.includes('_run'))
  check('a log whose digests are in runs finds them', await finds(data))
  let [checked, harmless] = [0, 0]
  const unnoticed: string[] = []
  for (const site of runs) {
    await flipped(database, site, async () => {
      if (await checkFails(database, vkey, true)) checked++
      else if (await finds(data).catch(() => false)) harmless++
      else unnoticed.push(`bit ${site.bit} of byte ${site.offset}, in ${site.kind}`)
    })
  }
  console.log(
    `  runs of digests: check ${checked}, harmless ${harmless}, of ${new Set(runs.map(({ kind }) => kind)).size} kinds of pages`,
  )
  check('no flip hides an event from being known again', unnoticed.length === 0, unnoticed.join('\n'))
  check('check finds most of them', checked > 0.7 * runs.length)
  const blind: boolean[] = []
  for (const site of runs.filter(({ kind }) => kind === 'addendum_run_pages leaf').slice(0, 10))
    blind.push(await flipped(database, site, async () => !(await checkFails(database, vkey, false))))
  check('a check of the tree alone does not', blind.includes(true))
}

async function checkFails(database: string, vkey: string, documents: boolean): Promise<boolean> {
  try {
    const store = SqliteStore.open(database, { readonly: true })
    try {
      loadLogVkey(vkey, store.origin)
      await checkLog(store, { treeOnly: !documents })
      return false
    } finally {
      await store.close()
    }
  } catch {
    return true
  }
}

/** Events, another policy and a redaction, all of it cosigned. */
async function live(one: Watched): Promise<void> {
  const { url } = one.server
  for (let i = 0; i < EVENTS; i += 250) {
    const lines = Array.from({ length: 250 }, (_, k) => event(signer, `model/${i + k}`, { pad: 'x'.repeat(k) }))
    const answer = await post(url, '/test/v1/events/batch', lines.join('\n'), 'application/x-ndjson')
    if (answer.status !== 200) throw new Error(answer.body.toString())
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  const { index, sha256 } = json(await ask(url, '/test/v1/policy'))
  const next = { ...one.document, sequence: 1, previous: { index, sha256 }, produces: ['urn:x:*'] }
  const changed = await post(url, '/test/v1/policy', signedPolicy(next, admins))
  const { leafHash } = json(await ask(url, '/test/v1/events/2'))
  const redacted = await post(url, '/test/v1/redactions', redactionRequest(ORIGIN, [{ index: 2, leafHash }], admins))
  if (changed.status !== 201 || redacted.status !== 201) throw new Error(`${changed.body} ${redacted.body}`)
  const size = one.served.log.head.tree.size
  await eventually('all is cosigned', async () => (one.cosigned() === size ? true : undefined))
}

/** Places in every kind of page, more of them where something stands; always the same for a file. */
function sitesOf(file: string): Site[] {
  const db = new Database(file, { readonly: true })
  const pageSize = db.pragma('page_size', { simple: true }) as number
  const pages = db.prepare('SELECT name, pagetype, pageno FROM dbstat ORDER BY name, pagetype, pageno').all() as {
    name: string
    pagetype: string
    pageno: number
  }[]
  db.close()
  const handle = openSync(file, 'r')
  const kinds = Map.groupBy(pages, ({ name, pagetype }) => `${name} ${pagetype}`)
  let seed = 1
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0
    return Math.floor((seed / 2 ** 32) * below)
  }
  const sites: Site[] = []
  for (let i = 0; i < FLIPS; i++) sites.push({ kind: 'header of the file', offset: random(100), bit: random(8) })
  for (const [kind, list] of kinds) {
    for (let i = 0; i < FLIPS; i++) {
      const { pageno, pagetype } = list[Math.floor((i * list.length) / FLIPS)]!
      const start = (pageno - 1) * pageSize
      const header = pageno === 1 ? 100 : 0
      const head = Buffer.alloc(8)
      readSync(handle, head, 0, 8, start + header)
      // Of a B-tree page: its header and pointers, or where its cells stand.
      const cells = pagetype === 'overflow' ? 0 : head.readUInt16BE(5) || pageSize
      const within = pagetype !== 'overflow' && i % 4 === 0 ? header + random(16) : cells + random(pageSize - cells)
      sites.push({ kind, offset: start + Math.min(within, pageSize - 1), bit: random(8) })
    }
  }
  closeSync(handle)
  return sites
}

/** With that bit flipped, and then flipped back. */
async function flipped<T>(file: string, { offset, bit }: Site, work: () => Promise<T>): Promise<T> {
  const flip = (): void => {
    const handle = openSync(file, 'r+')
    const byte = Buffer.alloc(1)
    readSync(handle, byte, 0, 1, offset)
    byte[0]! ^= 1 << bit
    writeSync(handle, byte, 0, 1, offset)
    closeSync(handle)
  }
  flip()
  try {
    return await work()
  } finally {
    for (const suffix of ['-wal', '-shm']) rmSync(`${file}${suffix}`, { force: true })
    flip()
  }
}

async function judge(data: string, trust: WitnessPolicy, sound: Served, documents: boolean): Promise<Noticed> {
  const { database, vkey } = logFiles(data, 'test')
  if (await checkFails(database, vkey, documents)) return 'check'
  const served = await servedBy(database).catch(() => undefined)
  if (served === undefined) return 'serving'
  if (served.all === sound.all && String(served.notes) === String(sound.notes)) return 'harmless'
  if (!(await starts(data))) return 'start'
  // A note that does not verify convinces nobody; one that is away only widens a span of time.
  return served.all === sound.all && served.notes.every((note) => sound.notes.includes(note) || !verifies(note, trust))
    ? 'readers'
    : 'NOBODY'
}

interface Served {
  /** Digest of everything but the notes. */
  readonly all: string
  /** Kept checkpoints. */
  readonly notes: readonly string[]
}

async function servedBy(file: string): Promise<Served> {
  const store = SqliteStore.open(file, { readonly: true })
  try {
    const hash = createHash('sha256')
    const put = (value: unknown): void => void hash.update(value instanceof Uint8Array ? value : `\0${value}\0`)
    const { size, root, time } = await store.head()
    // Whatever is not raw is served as a log of events.
    for (const value of [store.origin, store.profile === 'raw', store.restored, size, root, time]) put(value)
    for (const entry of await store.entries(0, size)) put(entry)
    for (let level = 0, width = Math.floor(size / 256); width > 0; level++, width = Math.floor(width / 256)) {
      for (let index = 0; index < width; index++) {
        const tile = await store.tile(level, index)
        for (const piece of tile ? [...tile.hashes, ...tile.nodes] : [undefined]) put(piece)
      }
    }
    const notes = new Set<string>()
    for (let index = 0; index < size; index++) {
      put(await store.entry(index))
      put(await store.addendum(index))
      put(await store.redactedBy(index))
      for (const kept of [await store.checkpointCovering(index), await store.checkpointBefore(index)])
        if (kept !== undefined) notes.add(kept.note)
    }
    put(await store.policies())
    return { all: hash.digest('hex'), notes: [...notes] }
  } finally {
    await store.close()
  }
}

function verifies(note: string, trust: WitnessPolicy): boolean {
  try {
    verifyCheckpoint(toUtf8(note), trust)
    return true
  } catch {
    return false
  }
}

const copyOf = (folder: string): string => {
  const copy = join(tempFolder(), 'copy')
  cpSync(folder, copy, { recursive: true })
  return copy
}

/** Whether each entry is found by what it is to be found by, as it is after a start. */
async function finds(data: string): Promise<boolean> {
  const copy = copyOf(data)
  const store = SqliteStore.open(logFiles(copy, 'test').database)
  try {
    while (await store.maintain());
    const { size } = await store.head()
    for (const [index, entry] of (await store.entries(0, size)).entries()) {
      const found = [await store.findLeaf(leafHash(entry)), ...(await store.findAddendum(addendumDigest(entry)))]
      if (String(found) !== `${index},${index}`) return false
    }
    return true
  } finally {
    await store.close()
    rmSync(copy, { recursive: true, force: true })
  }
}

async function starts(data: string): Promise<boolean> {
  const copy = copyOf(data)
  try {
    const { log } = await openLog(copy)
    const sound = log.frozen === undefined
    await log.close()
    return sound
  } catch {
    return false
  } finally {
    rmSync(copy, { recursive: true, force: true })
  }
}

/** What a witness that has read nothing yet says of a log whose heads it has cosigned. */
async function audited(one: Watched, data: string): Promise<string> {
  const folder = copyOf(one.folder)
  const server = await startServer(copyOf(data)).catch((error: Error) => error)
  if (server instanceof Error) return `it does not start: ${server.message}`
  one.way.target = server.url
  one.said.length = 0
  const state = openState(folder)
  const { log, reader, alerts, now } = one
  const parts = { log, reader, alerts, state, now, verifiers: log.keys.map(logVerifier), verify: nativeVerify }
  const auditor = new Auditor({ ...parts, patience: HOUR })
  try {
    const cosigned = Number(state.cosigned(ORIGIN)?.size)
    await auditor.step()
    const size = state.audited(ORIGIN)?.size ?? 0
    if (size === cosigned && one.said.length === 0) return 'all of it'
    return `${size} of ${cosigned}: ${one.said.map(({ kind, why }) => `${kind}, ${why}`).join(', ') || 'no more'}`
  } catch (error) {
    return String(error)
  } finally {
    state.close()
    await server.close()
  }
}

await lane(flips)
