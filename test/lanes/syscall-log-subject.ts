/** The log that `syscalls` and `power` hurt: 250 entries, and work that crosses the end of a tile. */
import { randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { equal, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint, sizeOf } from '../../src/core/checkpoint.ts'
import { addendumDigest } from '../../src/core/entry.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { parseNote } from '../../src/core/note.ts'
import { checkTree } from '../../src/log/check.ts'
import type { Log } from '../../src/log/log.ts'
import { logFiles } from '../../src/store/folder.ts'
import { SqliteStore } from '../../src/store/sqlite.ts'
import { Actor, event, redactionRequest } from '../support/actors.ts'
import { json, post } from '../support/http.ts'
import { makeEventLog, ORIGIN, startServer } from '../support/server.ts'
import { tempFolder } from './lane.ts'
import { openLog } from './open-log.ts'
import type { LogWork, Promised } from './syscall-log.ts'
import { holds, type Subject, writeWork } from './syscall-subject.ts'

const BEFORE = 250

/** `served`: what is left is judged behind HTTP and with its index, as a server opens it, which takes some 0.3 s. */
export async function logSubject({ served = true } = {}): Promise<Subject> {
  const folder = join(tempFolder(), 'data')
  const [administrator, signer] = [new Actor(), new Actor()]
  await makeEventLog(folder, [administrator], [{ actor: signer }])
  const secret = randomBytes(24).toString('hex')
  const server = await startServer(folder)
  const lines = Array.from({ length: BEFORE - 1 }, (_, i) => event(signer, i === 4 ? secret : `before ${i}`))
  const answer = await post(server.url, '/test/v1/events/batch', lines.join('\n'), 'application/x-ndjson')
  if (answer.status !== 200) throw new Error(answer.body.toString())
  const { entry } = json(await post(server.url, '/test/v1/events', lines[4]!))
  await server.close()
  // Derived, and not opened by what is hurt.
  for (const suffix of ['', '-wal', '-shm']) rmSync(`${logFiles(folder, 'test').index}${suffix}`, { force: true })
  const leaf = toHex(leafHash(new Uint8Array(Buffer.from(entry, 'base64'))))
  const work: LogWork = {
    single: Array.from({ length: 5 }, (_, i) => event(signer, `single ${i}`)),
    together: Array.from({ length: 12 }, (_, i) => event(signer, `together ${i}`)),
    redaction: redactionRequest(ORIGIN, [{ index: 5, leafHash: leaf }], [administrator]),
  }
  const file = writeWork(work)
  const marker = Buffer.from(secret)
  const after = event(signer, 'after')
  return {
    ...{ name: 'log', folder },
    command: (data, early) => ['test/lanes/syscall-log.ts', data, file, ...(early ? ['early'] : [])],
    examine: (data, output) => examine(data, output, served ? openServed : openAlone, marker, after),
  }
}

interface Opened {
  readonly log: Log
  /** Undefined, or why the event is not in the log. */
  submit(event: string): Promise<string | undefined>
  close(): Promise<void>
}

async function openServed(data: string): Promise<Opened> {
  const server = await startServer(data)
  return {
    log: server.opened.logs.get('test')!.log,
    async submit(text) {
      const answer = await post(server.url, '/test/v1/events', text)
      return answer.status === 201 ? undefined : answer.body.toString()
    },
    close: () => server.close(),
  }
}

async function openAlone(data: string): Promise<Opened> {
  const { log, events } = await openLog(data)
  return {
    log,
    submit: (text) =>
      events.submit(toUtf8(text)).then(
        ({ index }) => (index === log.head.tree.size - 1 ? undefined : `it is at ${index} already`),
        (error: Error) => error.message,
      ),
    close: () => log.close(),
  }
}

async function examine(
  data: string,
  output: string,
  open: (data: string) => Promise<Opened>,
  secret: Uint8Array,
  after: string,
): Promise<string[]> {
  const problems: string[] = []
  const promised = output
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Promised)
  const { database } = logFiles(data, 'test')
  const store = SqliteStore.open(database, { readonly: true })
  await checkTree(store, () => {}).catch((error: Error) => problems.push(`check: ${error.message}`))
  await store.close()

  const opened = await open(data)
  try {
    const { log } = opened
    if (log.frozen !== undefined) problems.push(log.frozen.message)
    const { tree } = log.head
    for (const one of promised) {
      if (one.kind === 'event') {
        const entry = one.index < tree.size ? await log.store.entry(one.index) : undefined
        if (entry === undefined || toHex(addendumDigest(entry)) !== one.digest)
          problems.push(`the event at ${one.index} is lost`)
      }
      if (one.kind === 'event' || one.kind === 'published') {
        const checkpoint = parseCheckpoint(parseNote(toUtf8(one.note)).text)
        const size = sizeOf(checkpoint)
        if (size > tree.size || !equal(await log.prover.root(tree, size), checkpoint.root))
          problems.push(`the signed head of ${size} is not a part of the log (${tree.size})`)
      }
      if (one.kind === 'redacted') {
        for (const index of one.indexes)
          if ((await log.store.addendum(index)) !== undefined) problems.push(`${index} is not redacted any more`)
      }
    }
    const refused = await opened.submit(after)
    if (refused !== undefined) problems.push(`it does not go on: ${refused}`)
  } finally {
    await opened.close()
  }
  if (promised.some((one) => one.kind === 'redacted' && one.erased) && holds(data, secret))
    problems.push('what was erased is in a file')
  return problems
}
