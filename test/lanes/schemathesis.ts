/**
 * Schemathesis makes requests out of the API description, right ones and wrong ones, and holds every answer against it. A hook signs
 * envelopes, so that the log takes what was made up. Nothing may end in a 5xx or in an answer that is not described; and a server that
 * breaks its word behind a proxy must be found out, or the judge's consent would mean nothing.
 */
import { readFileSync, writeFileSync } from 'node:fs'
import { createServer, type Server as HttpServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Actor, policyDocument, signedPolicy } from '../support/actors.ts'
import { check, type Finished, initRaw, lane, must, ROOT, run, SERVER, startServer, tempFolder } from './lane.ts'
import { pythonTool } from './tools.ts'

const TOOL = join(ROOT, 'test/tools/schemathesis')
const ORIGIN = 'lane.example/events'
const EVENTS = 'events'
const RAW = 'raw'
/** Calls to submit an event that must end in 201. */
const LOGGED = 200
const HONEST = 'a proxy that breaks nothing'
/** Answers with a stream that does not end, which the judge would wait for: test/http/stream.test.ts is its judge. */
const STREAM = { id: 'streamEvents', path: '/{log}/v1/stream' }

async function judgeApi(): Promise<void> {
  const schemathesis = await pythonTool('schemathesis', 'schemathesis')
  const data = tempFolder()
  const actors = join(tempFolder(), 'actors.json')
  await makeLogs(data, actors)
  const server = await startServer(data, ['--publish-interval', '100', '--log-level', 'error', '--workers', '2'])
  const counts = join(tempFolder(), 'counts.json')

  const judge = async (url: string, args: readonly string[], seconds = 200): Promise<Finished> => {
    const flags = ['--config-file', join(TOOL, 'schemathesis.toml'), 'run', `${url}/openapi.json`, '--no-color']
    const reports = ['--generation-database=none', '--report-dir', tempFolder()]
    // What is included is included by name.
    const left = args.includes('--include-operation-id') ? [] : ['--exclude-operation-id', STREAM.id]
    return run(schemathesis, [...flags, ...reports, ...left, ...args], {
      seconds,
      env: {
        SCHEMATHESIS_HOOKS: 'hooks',
        PYTHONPATH: TOOL,
        PYTHONDONTWRITEBYTECODE: '1',
        HYPOTHESIS_STORAGE_DIRECTORY: tempFolder(),
        TREELINE_URL: url,
        TREELINE_ACTORS: actors,
        TREELINE_COUNTS: counts,
      },
    })
  }

  const answers = new Map<string, number>()
  const judgeAndCount = async (what: string, args: readonly string[]): Promise<void> => {
    const began = performance.now()
    const verdict = await judge(server.url, args)
    check(`schemathesis finds nothing: ${what}`, verdict.code === 0, verdict.output.slice(-8_000))
    let calls = 0
    for (const [name, count] of Object.entries(JSON.parse(readFileSync(counts, 'utf8')) as Record<string, number>)) {
      if (!name.startsWith('LINE')) calls += count
      answers.set(name, (answers.get(name) ?? 0) + count)
    }
    console.log(`  ${what}: ${calls} calls in ${((performance.now() - began) / 1000).toFixed(0)} s`)
  }

  // So that there is a full tile to ask for.
  await Promise.all(
    Array.from({ length: 300 }, (_, i) => fetch(`${server.url}/${RAW}/add`, { method: 'POST', body: `${i}` })),
  )
  const before = await sizes(server.url)
  await judgeAndCount('every route, all phases', ['--phases', 'examples,coverage,fuzzing,stateful', '-n', '25'])
  const submit = ['--include-operation-id', 'submitEvent', '--mode', 'positive', '--phases', 'fuzzing', '-n', '300']
  await judgeAndCount('signed events', submit)
  await judgeCounts(server.url, answers, before)

  await judgeTheJudge(server.url, judge)
  check('the server stops when told to', (await server.stop()) === 0)
}

/** What was answered, by the judge's own count, and whether the logs grew by as much. */
async function judgeCounts(
  url: string,
  answers: ReadonlyMap<string, number>,
  before: ReadonlyMap<string, number>,
): Promise<void> {
  const count = (name: string) => answers.get(name) ?? 0
  const total = [...answers].reduce((sum, [name, one]) => (name.startsWith('LINE') ? sum : sum + one), 0)
  const failed = [...answers.keys()].filter((name) => / 5[0-9][0-9]$/.test(name))
  check(`none of ${total} answers is a 5xx`, failed.length === 0 && total > 1_000, failed.join('\n'))
  const logged = count('POST /{log}/v1/events 201')
  check(`${logged} signed events are logged, of ${LOGGED} at least`, logged >= LOGGED)

  const document = (await (await fetch(`${url}/openapi.json`)).json()) as {
    paths: Record<string, Record<string, { responses: Record<string, unknown> }>>
  }
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, { responses }] of Object.entries(methods)) {
      const name = `${method.toUpperCase()} ${path}`
      check(`${name} has no default answer`, !('default' in responses))
      // It is what schemathesis itself begins with, so it makes no calls of it.
      if (path === '/openapi.json' || path === STREAM.path) continue
      const good = Object.keys(responses).filter((status) => status.startsWith('2') && count(`${name} ${status}`) > 0)
      check(`${name} has succeeded`, good.length > 0)
    }
  }

  const after = await sizes(url)
  const grown = (name: string) => after.get(name)! - before.get(name)!
  const created = ['POST /{log}/v1/events', 'POST /{log}/v1/policy', 'POST /{log}/v1/redactions', 'LINE']
  const expected = created.reduce((sum, name) => sum + count(`${name} 201`), 0)
  check(`the log grew by ${expected}, once for each 201`, grown(EVENTS) === expected, `by ${grown(EVENTS)}`)
  const added = count('POST /{log}/add 200')
  check(`the raw log grew by ${added}`, grown(RAW) === added, `by ${grown(RAW)}`)
}

async function sizes(url: string): Promise<Map<string, number>> {
  const logs = (await (await fetch(`${url}/v1/logs`)).json()) as { name: string; size: number }[]
  return new Map(logs.map(({ name, size }) => [name, size]))
}

interface Answer {
  readonly status: number
  readonly type: string
  readonly body: Buffer
}

/** Each puts a proxy before the server that breaks its word in one way. */
async function judgeTheJudge(
  url: string,
  judge: (url: string, args: readonly string[], seconds?: number) => Promise<Finished>,
): Promise<void> {
  const edited = (answer: Answer, edit: (document: Record<string, unknown>) => void): Answer => {
    const document = JSON.parse(answer.body.toString()) as Record<string, unknown>
    edit(document)
    return { ...answer, body: Buffer.from(JSON.stringify(document)) }
  }
  const cases: [what: string, says: RegExp, operation: string, spoil: (answer: Answer) => Answer][] = [
    [HONEST, /No issues found/, 'listEvents', (answer) => answer],
    ['a 500', /Server error/, 'listEvents', (answer) => ({ ...answer, status: 500 })],
    ['a status that is not described', /Undocumented status code/, 'listEvents', (a) => ({ ...a, status: 206 })],
    [
      'a media type that is not described',
      /Undocumented Content-Type/,
      'getPolicy',
      (a) => ({ ...a, type: 'text/csv' }),
    ],
    ['a receipt without its proof', /violates schema/, 'submitEvent', (a) => edited(a, (one) => delete one.hashes)],
    ['a member too many', /violates schema/, 'getEvent', (answer) => edited(answer, (one) => (one.more = 1))],
  ]
  for (const [what, says, operation, spoil] of cases) {
    const proxy = await startProxy(url, (answer) => (answer.status < 300 ? spoil(answer) : answer))
    const flags = ['--include-operation-id', operation, '--mode', 'positive', '--phases', 'fuzzing', '-n', '10']
    const { code, output } = await judge(`http://127.0.0.1:${(proxy.address() as AddressInfo).port}`, flags, 60)
    const broken = what !== HONEST
    check(
      `schemathesis ${broken ? 'finds' : 'accepts'} ${what}`,
      code === (broken ? 1 : 0) && says.test(output),
      output,
    )
    proxy.close()
  }
}

/** Passes requests on; `spoil` may change what comes back, the API description apart. */
async function startProxy(url: string, spoil: (answer: Answer) => Answer): Promise<HttpServer> {
  const pass = (incoming: IncomingMessage, outgoing: ServerResponse): void => {
    const { method, headers, url: path = '/' } = incoming
    const onward = request(new URL(url), { method, headers, path, agent: false }, (answer) => {
      const parts: Buffer[] = []
      answer.on('data', (part: Buffer) => parts.push(part))
      answer.on('end', () => {
        const { statusCode: status = 0, headers } = answer
        const came = { status, type: headers['content-type'] ?? '', body: Buffer.concat(parts) }
        const { status: code, type, body } = path === '/openapi.json' ? came : spoil(came)
        outgoing.writeHead(code, { 'content-type': type }).end(body)
      })
    })
    incoming.pipe(onward)
  }
  const proxy = createServer(pass)
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return proxy
}

/** An events log whose signers are of both algorithms, and a raw log; the keys go where the hook finds them. */
async function makeLogs(data: string, actorsFile: string): Promise<void> {
  const signers = [new Actor(), new Actor('p256')]
  const administrator = new Actor()
  const flags = ['--data', data, '--name', EVENTS, '--origin', ORIGIN, '--profile', 'events']
  const [vkey = ''] = (await must(process.execPath, [SERVER, 'init', ...flags])).split('\n')
  const rules = signers.map((actor) => ({ actor }))
  const policy = join(tempFolder(), 'policy.json')
  writeFileSync(policy, signedPolicy(policyDocument(ORIGIN, vkey, [administrator], rules), [administrator]))
  await must(process.execPath, [SERVER, 'init', ...flags, '--policy', policy])
  await initRaw(data, RAW, 'lane.example/raw')
  const pem = ({ privateKey }: Actor) => privateKey.export({ format: 'pem', type: 'pkcs8' })
  const actors = {
    events: EVENTS,
    raw: RAW,
    origin: ORIGIN,
    signers: signers.map(pem),
    administrator: pem(administrator),
  }
  writeFileSync(actorsFile, JSON.stringify(actors))
}

await lane(judgeApi)
