/** treeline-server as its operators run it: a process with flags, files, signals and disks. */
import { type ChildProcess, execFileSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { chmodSync, chownSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { Agent as PlainAgent, request as plainRequest } from 'node:http'
import { request } from 'node:https'
import { connect } from 'node:net'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { connect as tlsConnect } from 'node:tls'
import Database from 'better-sqlite3'
import { generate } from 'selfsigned'
import t, { type Test } from 'tap'
import { Options } from '../../cmd/cli.ts'
import { serveCommand } from '../../cmd/server/serve.ts'
import { leafHash } from '../../src/core/merkle.ts'
import { fillRaw, rawEntry } from '../bench/fill.ts'
import { Actor, event } from '../support/actors.ts'
import { ask, json, post } from '../support/http.ts'
import { type Ended, runProgram, type StartOptions, startProgram } from '../support/programs.ts'
import { makeEventLog, makeRawLog, temporaryFolder } from '../support/server.ts'

const PROGRAM = 'cmd/treeline-server.ts'
const signer = new Actor()

const start = (t: Test, args: readonly string[], options?: StartOptions): ChildProcess =>
  startProgram(t, PROGRAM, args, options)
const run = (t: Test, args: readonly string[], options?: StartOptions): Promise<Ended> =>
  runProgram(t, PROGRAM, args, options)

interface Served {
  readonly url: string
  readonly process: ChildProcess
  readonly output: string[]
  readonly errors: string[]
  /** Resolves to the exit code. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  /** Waits for a line on standard error. */
  says(pattern: RegExp): Promise<void>
}

async function serve(t: Test, data: string, flags: readonly string[] = [], options?: StartOptions): Promise<Served> {
  const listen = flags.includes('--listen') ? [] : ['--listen', '127.0.0.1:0']
  const child = start(t, ['serve', '--data', data, ...listen, ...flags], options)
  const closed = once(child, 'close') as Promise<[number | null]>
  const output: string[] = []
  const errors: string[] = []
  createInterface({ input: child.stderr! }).on('line', (line) => errors.push(line))
  const url = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout! }).on('line', (line) => {
      output.push(line)
      const found = /listens on (http\S+)/.exec(line)?.[1]
      if (found !== undefined) resolve(found)
    })
    void closed.then(([code]) => reject(new Error(`the server ended with ${code}: ${errors.join('\n')}`)))
  })
  return {
    url,
    process: child,
    output,
    errors,
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return (await closed)[0]
    },
    async says(pattern) {
      for (let i = 0; i < 200; i++) {
        if (errors.some((line) => pattern.test(line))) return
        await sleep(25)
      }
      throw new Error(`never said ${pattern}: ${errors.join('\n')}`)
    },
  }
}

/** Everything the client was told, with the connection kept alive as a pipeline's client does. */
function add(url: string, agent: PlainAgent, body: string): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const outgoing = plainRequest(`${url}/raw/add`, { method: 'POST', agent }, (answer) => {
      let text = ''
      answer.on('data', (part) => {
        text += part
      })
      answer.on('end', () => resolve({ status: answer.statusCode!, text }))
      answer.on('error', (error) => reject(Object.assign(error, { half: true })))
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}

async function raw(t: Test): Promise<string> {
  const data = temporaryFolder(t)
  await makeRawLog(data)
  return data
}

t.test('what serve refuses, and how it says so', async (t) => {
  const data = await raw(t)
  const empty = temporaryFolder(t)
  const config = join(empty, 'config.json')
  const never = join(empty, 'no', 'such', 'folder')
  writeFileSync(config, '{"listen": "127.0.0.1:0", "lisen": "x"}')
  const key = join(empty, 'key.pem')
  const cert = join(empty, 'cert.pem')
  await makeCertificate(key, cert, 'localhost')
  const openKey = join(empty, 'open.pem')
  writeFileSync(openKey, readFileSync(key))
  chmodSync(openKey, 0o644)
  const otherKey = join(empty, 'other.pem')
  await makeCertificate(otherKey, join(empty, 'other-cert.pem'), 'localhost')
  const beyond = ['--listen', '0.0.0.0:0']
  const port = await usedPort(t)
  const programs: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['no log', ['--data', never], /there is no log in .*init makes one \(USAGE\)/],
    ['unknown flag', ['--data', data, '--lisen', 'x'], /Unknown option '--lisen'/],
    ['unknown key of the configuration', ['--data', data, '--config', config], /unknown key "lisen"/],
    ['a port in use', ['--data', data, '--listen', `127.0.0.1:${port}`], /cannot listen on .*EADDRINUSE/],
  ]
  for (const [name, args, message] of programs) {
    const { code, output, errors } = await run(t, ['serve', ...args])
    t.equal(code, 2, `${name}: ${errors}`)
    t.match(errors, message, name)
    t.equal(output, '', name)
  }
  t.same(readdirSync(empty).includes('no'), false, 'a mistyped path makes nothing')

  const table: readonly (readonly [string, readonly string[], RegExp])[] = [
    ['an empty folder', ['--data', empty], /there is no log in .*init makes one/],
    ['no port', ['--data', data, '--listen', 'localhost'], /--listen takes HOST:PORT/],
    ['strangers in the clear', ['--data', data, ...beyond, '--public'], /--tls-cert and --tls-key, or --insecure/],
    ['strangers without tokens', ['--data', data, ...beyond, '--insecure'], /token add\), or give --public/],
    ['strangers, with TLS', ['--data', data, ...beyond, '--tls-cert', cert, '--tls-key', key], /or give --public/],
    ['another name of them', ['--data', data, '--listen', '[::]:0'], /reached from other machines/],
    ['half of TLS', ['--data', data, '--tls-cert', cert], /TLS takes --tls-cert and --tls-key/],
    ['a CA without TLS', ['--data', data, '--tls-client-ca', cert], /TLS takes --tls-cert and --tls-key/],
    ['no certificate', ['--data', data, '--tls-cert', never, '--tls-key', key], /cannot be read/],
    ['no key', ['--data', data, '--tls-cert', cert, '--tls-key', never], /does not exist/],
    ['a key open to others', ['--data', data, '--tls-cert', cert, '--tls-key', openKey], /chmod 600 it/],
    ['a key of another', ['--data', data, '--tls-cert', cert, '--tls-key', otherKey], /no certificate with its key/],
    ['a level that is none', ['--data', data, '--log-level', 'loud'], /--log-level is one of fatal, error/],
    ['a proxy that is none', ['--data', data, '--trust-proxy', 'proxy'], /--trust-proxy takes an address/],
    ['a body past 4 MiB', ['--data', data, '--body-limit', '4194305'], /--body-limit takes a whole number/],
  ]
  for (const [name, args, message] of table) {
    const flags = Map.groupBy(
      args.flatMap((flag, i) => (flag.startsWith('--') ? [[flag.slice(2), valueAt(args, i + 1)] as const] : [])),
      ([flag]) => flag,
    )
    const given = new Map(
      [...flags].map(([flag, values]) => [flag, values.map(([, value]) => value)] as [string, string[]]),
    )
    const defaults = serveCommand.flags.flatMap((flag) =>
      flag.default ? [[flag.name, [flag.default]] as [string, string[]]] : [],
    )
    await t.rejects(
      serveCommand.run(new Options(new Map([...defaults, ...given])), []),
      { code: 'USAGE', message },
      name,
    )
  }
})

const valueAt = (args: readonly string[], i: number): string =>
  args[i] === undefined || args[i].startsWith('--') ? 'true' : args[i]

t.test('what the disk refuses', async (t) => {
  const data = await raw(t)
  const key = join(data, 'logs', 'raw', 'log.key')
  chmodSync(key, 0o640)
  const open = await run(t, ['serve', '--data', data, '--listen', '127.0.0.1:0'])
  t.match([open.code, open.errors], [2, /open to others \(mode 640\): chmod 600 it/])
  chmodSync(key, 0o600)
  if (process.geteuid!() === 0) {
    // A user that may do everything in the folder but read the key.
    execFileSync('chown', ['-R', '65534:65534', data])
    chownSync(key, 0, 0)
    const unreadable = await run(t, ['serve', '--data', data, '--listen', '127.0.0.1:0'], { uid: 65_534 })
    t.match([unreadable.code, unreadable.errors], [2, /log\.key cannot be read by this user/])
    chownSync(key, 65_534, 65_534)
    // A token that an administrator makes as root is for the user that the server runs as.
    await run(t, ['token', 'add', '--data', data, '--log', 'raw', '--scope', 'tree'])
    t.match(statSync(join(data, 'tokens.json')), { uid: 65_534, gid: 65_534 })
  } else {
    chmodSync(key, 0o000)
    const unreadable = await run(t, ['serve', '--data', data, '--listen', '127.0.0.1:0'])
    t.match([unreadable.code, unreadable.errors], [2, /log\.key cannot be read by this user/])
    chmodSync(key, 0o600)
  }
  const first = await serve(t, data)
  const second = await run(t, ['serve', '--data', data, '--listen', '127.0.0.1:0'])
  t.match([second.code, second.errors], [2, /another treeline-server uses .* \(LOCKED\)/])
  const rebuild = await run(t, ['rebuild-index', '--data', data])
  t.match([rebuild.code, rebuild.errors], [2, /\(LOCKED\)/], 'nor does anything else write there')
  t.equal((await ask(first.url, '/healthz')).status, 200, 'the first goes on')
  t.equal(await first.stop(), 0)
  const third = await serve(t, data)
  t.equal(await third.stop('SIGINT'), 0)
})

t.test('tokens by command, beyond this machine', async (t) => {
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  const token = (...args: string[]) => run(t, ['token', args[0]!, '--data', data, ...args.slice(1)])
  for (const [args, message] of [
    [['add', '--scope', 'tree'], /--log is missing/],
    [['add', '--log', 'test'], /--scope .* is missing/],
    [['add', '--log', 'test', '--scope', 'all'], /--scope is tree, payload, metrics/],
    [['add', '--log', 'none', '--scope', 'tree'], /there is no log "none"/],
    [['remove', 'abc'], /there is no token "abc"/],
  ] as const) {
    const { code, errors } = await token(...args)
    t.match([code, errors], [2, message], args.join(' '))
  }
  const { output } = await token('add', '--log', 'test', '--scope', 'tree', '--scope', 'payload')
  const secret = output.trim()
  t.match(secret, /^tl_[0-9a-f]{8}_[\w-]{43}$/)
  t.equal(statSync(join(data, 'tokens.json')).mode & 0o777, 0o600)
  t.notOk(readFileSync(join(data, 'tokens.json'), 'utf8').includes(secret.slice(12)))
  t.match((await token('list')).output, new RegExp(`^${secret.slice(3, 11)}  20\\S+Z  tree,payload  test\n$`))

  const server = await serve(t, data, ['--listen', '0.0.0.0:0', '--insecure'])
  const url = `http://127.0.0.1:${new URL(server.url).port}`
  const read = async (authorization?: string) =>
    (await ask(url, '/test/v1/events', authorization ? { headers: { authorization } } : {})).status
  t.equal(await read(), 401)
  t.equal(await read(`Bearer ${secret}`), 200)
  t.equal((await post(url, '/test/v1/events', event(signer, 'SECRET-SUBJECT'))).status, 201, 'writers sign')
  t.equal((await token('remove', secret.slice(3, 11))).code, 0)
  for (let i = 0; i < 60 && (await read(`Bearer ${secret}`)) === 200; i++) await sleep(50)
  t.equal(await read(`Bearer ${secret}`), 401)
  t.equal(await server.stop(), 0)

  t.equal(server.output.length, 1, 'one line on standard output')
  t.match(server.output[0], /^treeline-server listens on http:\/\/\S+ with test \(journal_mode=wal synchronous=FULL\)$/)
  for (const line of server.errors) t.match(JSON.parse(line), { level: Number, time: Number })
  const said = server.errors.join('\n')
  t.match(said, /"readers":"with tokens".*"msg":"started"/)
  t.match(said, /"status":201/)
  t.match(said, /"signal":"SIGTERM","msg":"stopping"/)
  t.match(said, /"inTime":true,"msg":"stopped"/)
  t.notOk(said.includes(secret.slice(12)) || said.includes('SECRET') || said.includes('Bearer'))
})

t.test('TLS, with clients that show a certificate, renewed without a restart', async (t) => {
  const data = await raw(t)
  const folder = temporaryFolder(t)
  const [key, cert, caKey, ca, clientKey, client, strangerKey, stranger] = [
    'key',
    'cert',
    'ca-key',
    'ca',
    'client-key',
    'client',
    'stranger-key',
    'stranger',
  ].map((name) => join(folder, `${name}.pem`)) as [string, string, string, string, string, string, string, string]
  await makeCertificate(key, cert, 'localhost')
  await makeCertificate(caKey, ca, 'authority')
  await makeCertificate(clientKey, client, 'pipeline', [ca, caKey])
  await makeCertificate(strangerKey, stranger, 'pipeline')
  const server = await serve(t, data, [
    '--tls-cert',
    cert,
    '--tls-key',
    key,
    '--tls-client-ca',
    ca,
    '--log-level',
    'debug',
  ])
  t.match(server.url, /^https:\/\/127\.0\.0\.1:\d+$/)
  const port = Number(new URL(server.url).port)
  const trusted = [readFileSync(cert)]
  const get = (options: object): Promise<{ status: number; hsts: unknown; serial: string; protocol: string | null }> =>
    new Promise((resolve, reject) => {
      const outgoing = request(
        {
          host: '127.0.0.1',
          servername: 'localhost',
          port,
          path: '/raw/checkpoint',
          agent: false,
          ca: trusted,
          ...options,
        },
        (answer) => {
          const socket = answer.socket as import('node:tls').TLSSocket
          const { serialNumber: serial } = socket.getPeerCertificate()
          const protocol = socket.getProtocol()
          answer.resume()
          answer.on('end', () =>
            resolve({
              status: answer.statusCode!,
              hsts: answer.headers['strict-transport-security'],
              serial,
              protocol,
            }),
          )
        },
      )
      outgoing.on('error', reject)
      outgoing.end()
    })
  const mine = { cert: readFileSync(client), key: readFileSync(clientKey) }
  const first = await get(mine)
  t.match(first, { status: 200, hsts: 'max-age=31536000', protocol: 'TLSv1.3' })
  t.match(await get({ ...mine, maxVersion: 'TLSv1.2' }), { status: 200, protocol: 'TLSv1.2' })
  await t.rejects(get({ ...mine, minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT@SECLEVEL=0' }))
  await t.rejects(get({}), 'without a certificate')
  await t.rejects(
    get({ cert: readFileSync(stranger), key: readFileSync(strangerKey) }),
    'with one of another authority',
  )
  t.equal(await clearText(port), '', 'HTTP in the clear is no answer')

  const kept = tlsConnect({ host: '127.0.0.1', servername: 'localhost', port, ca: trusted, ...mine })
  await once(kept, 'secureConnect')
  const [oldKey, oldCert] = [readFileSync(key), readFileSync(cert)]
  await makeCertificate(key, cert, 'localhost')
  trusted.push(readFileSync(cert))
  server.process.kill('SIGHUP')
  await server.says(/read the certificate again/)
  const second = await get(mine)
  t.equal(second.status, 200)
  t.not(second.serial, first.serial)
  await t.rejects(get({}), 'clients still show theirs')
  kept.write('GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n')
  const [answer] = (await once(kept, 'data')) as [Buffer]
  t.match(answer.toString(), /^HTTP\/1.1 200 /, 'a connection from before goes on')
  kept.destroy()

  writeFileSync(cert, oldCert)
  server.process.kill('SIGHUP')
  await server.says(/the certificate could not be used/)
  t.equal((await get(mine)).serial, second.serial, 'a key that does not fit changes nothing')
  writeFileSync(key, oldKey)
  server.process.kill('SIGHUP')
  for (let i = 0; i < 50 && (await get(mine)).serial !== first.serial; i++) await sleep(50)
  t.equal((await get(mine)).serial, first.serial)
  t.equal(await server.stop(), 0)
})

t.test('SIGTERM under load: every answer that was given is in the log, and none is half', async (t) => {
  const data = await raw(t)
  let server = await serve(t, data, ['--log-level', 'warn'])
  const agent = new PlainAgent({ keepAlive: true, maxSockets: 64 })
  const acknowledged = new Map<number, string>()
  const halves: unknown[] = []
  let refused = 0
  let stopping = false
  const writer = async (name: number): Promise<void> => {
    for (let i = 0; !stopping || i === 0; i++) {
      const body = `writer ${name} entry ${i}`
      try {
        const { status, text } = await add(server.url, agent, body)
        if (status === 200) acknowledged.set(Number(text), body)
        else refused++
      } catch (error) {
        if ((error as { half?: boolean }).half || /parse/i.test((error as Error).message)) halves.push(error)
        return
      }
    }
  }
  const writers = Array.from({ length: 64 }, (_, i) => writer(i))
  while (acknowledged.size < 500) await sleep(10)
  const began = performance.now()
  const code = await server.stop()
  const took = performance.now() - began
  stopping = true
  await Promise.all(writers)
  agent.destroy()
  t.equal(code, 0)
  t.ok(took < 6_000, `${Math.round(took)} ms: no connection that is kept alive holds it up`)
  t.same(halves, [])
  t.equal(refused, 0, 'nobody was told no while it stopped')
  t.match((await run(t, ['check', '--data', data])).code, 0)
  server = await serve(t, data)
  const [{ size, published }] = json(await ask(server.url, '/v1/logs'))
  t.equal(published, size, 'all of it was published')
  t.ok(size >= acknowledged.size)
  const wrong: number[] = []
  const entries = new Map<number, string>()
  for (let tile = 0; tile * 256 < size; tile++) {
    const width = Math.min(256, size - tile * 256)
    const path = `/raw/tile/entries/${String(tile).padStart(3, '0')}${width < 256 ? `.p/${width}` : ''}`
    const { body } = await ask(server.url, path)
    for (let at = 0, i = tile * 256; at < body.length; i++) {
      const length = body.readUInt16BE(at)
      entries.set(i, body.subarray(at + 2, at + 2 + length).toString())
      at += 2 + length
    }
  }
  for (const [index, body] of acknowledged) if (entries.get(index) !== body) wrong.push(index)
  t.same(wrong, [])
  t.equal(await server.stop(), 0)
})

t.test('a request that never ends does not hold up the end, and a second signal ends it at once', async (t) => {
  const data = await raw(t)
  const stuck = (url: string) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1').on('error', () => {})
    socket.write('POST /raw/add HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf')
    t.teardown(() => socket.destroy())
    return once(socket, 'connect').then(() => sleep(100))
  }
  const patient = await serve(t, data, ['--shutdown-timeout', '1'])
  await stuck(patient.url)
  const began = performance.now()
  t.equal(await patient.stop(), 0)
  t.ok(performance.now() - began >= 900)
  t.match(patient.errors.join('\n'), /"inTime":false,"msg":"stopped"/)

  const forced = await serve(t, data, ['--shutdown-timeout', '60'])
  await stuck(forced.url)
  forced.process.kill('SIGTERM')
  await sleep(300)
  t.equal(forced.process.exitCode, null)
  forced.process.kill('SIGHUP')
  t.equal(await forced.stop('SIGTERM'), 4)
  const again = await serve(t, data)
  again.process.kill('SIGHUP')
  await again.says(/no certificate to read again/)
  t.equal((await ask(again.url, '/readyz')).status, 200)
  t.equal(await again.stop(), 0)
})

t.test('a full disk: writes stop, reads and their reasons go on, and nothing is half-written', async (t) => {
  const data = temporaryFolder(t)
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  const full = await serve(t, data, ['--log-level', 'warn'], { fileKiB: 700 })
  const submit = (url: string, text: string) => post(url, '/test/v1/events', text)
  const given: string[] = []
  let answer = await submit(full.url, event(signer, 'first'))
  for (let i = 0; answer.status === 201 && i < 200; i++) {
    const text = event(signer, `event ${i}`, { ballast: 'x'.repeat(60_000) })
    answer = await submit(full.url, text)
    if (answer.status === 201) given.push(text)
  }
  t.match([answer.status, json(answer).code], [503, 'STORAGE_FAILED'])
  t.ok(answer.headers['retry-after'])
  t.ok(given.length > 2)
  t.match(json(await submit(full.url, event(signer, 'later'))), { status: 503, code: 'STORAGE_FAILED' })
  t.equal((await submit(full.url, given[0]!)).status, 200, 'what is in is still known')
  t.equal((await ask(full.url, '/test/v1/events/1')).status, 200, 'reads go on')
  t.equal((await ask(full.url, '/healthz')).status, 200)
  const readiness = await ask(full.url, '/readyz')
  t.match(
    [readiness.status, json(readiness)],
    [503, { ready: false, logs: [{ name: 'test', ready: false, code: 'STORAGE_FAILED', why: /disk/ }] }],
  )
  const metrics = (await ask(full.url, '/metrics')).body.toString()
  t.match(metrics, /^treeline_log_ready\{log="test"\} 0$/m)
  t.match(metrics, /^treeline_log_failures_total\{log="test"\} [1-9]/m)
  await full.says(/"log":"test","err":\{"name":"SqliteError","code":"SQLITE_(FULL|IOERR)/)
  t.equal(await full.stop(), 0)

  t.equal((await run(t, ['check', '--data', data])).code, 0)
  const free = await serve(t, data)
  for (const text of given) t.equal((await submit(free.url, text)).status, 200, 'each is there')
  t.equal((await submit(free.url, event(signer, 'after'))).status, 201)
  t.equal((await ask(free.url, '/readyz')).status, 200)
  t.equal(await free.stop(), 0)
  t.equal((await run(t, ['check', '--data', data])).code, 0)
})

t.test('more connections than files may be open: some are dropped, and the log is published', async (t) => {
  const data = await raw(t)
  const server = await serve(t, data, ['--publish-interval', '10', '--log-level', 'warn'], { openFiles: 120 })
  await server.says(/fewer connections than --max-connections/)
  const { port } = new URL(server.url)
  let open = 0
  const sockets = Array.from({ length: 200 }, () =>
    connect(Number(port), '127.0.0.1')
      .on('error', () => {})
      .on('connect', () => open++)
      .on('close', () => open--),
  )
  while (open === 0 || open > 60) await sleep(10)
  for (const socket of sockets.slice(0, 180)) socket.destroy()
  const agent = new PlainAgent()
  while (open > 20) await sleep(10)
  t.match(await add(server.url, agent, 'while others hold on'), { status: 200, text: '0' })
  for (const socket of sockets) socket.destroy()
  for (let size = 0; size < 1; await sleep(10)) size = json(await ask(server.url, '/v1/logs'))[0].published
  t.notMatch(server.errors.join('\n'), /EMFILE/)
  t.equal(await server.stop(), 0)
})

t.test('flags from the environment and from a file', async (t) => {
  const data = await raw(t)
  const config = join(data, 'config.json')
  writeFileSync(config, JSON.stringify({ listen: '127.0.0.1:0', 'log-level': 'silent', 'rate-limit-reads': 2 }))
  const child = start(t, ['serve'], { env: { TREELINE_DATA: data, TREELINE_CONFIG: config, TREELINE_PUBLIC: 'true' } })
  const lines = createInterface({ input: child.stdout! })
  const [line] = (await once(lines, 'line')) as [string]
  const url = /listens on (\S+)/.exec(line)![1]!
  t.same(
    [
      (await ask(url, '/raw/checkpoint')).status,
      (await ask(url, '/metrics')).status,
      (await ask(url, '/raw/checkpoint')).status,
    ],
    [200, 401, 429],
    'public, so that measurements take a token; and limited',
  )
  child.kill('SIGTERM')
  t.equal(((await once(child, 'close')) as [number])[0], 0)
  rmSync(config)
})

/** Signed by itself, or by the authority of [certificate, key]; all are files. */
async function makeCertificate(key: string, cert: string, name: string, authority?: [string, string]): Promise<void> {
  const ca = authority && { cert: readFileSync(authority[0], 'utf8'), key: readFileSync(authority[1], 'utf8') }
  // Of two trusted certificates with one common name OpenSSL would try the first only.
  const made = await generate([{ name: 'commonName', value: `${name} ${randomUUID()}` }], {
    keyType: 'ec',
    algorithm: 'sha256',
    extensions: [
      { name: 'basicConstraints', cA: authority === undefined, critical: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: name }] },
    ],
    ...(ca && { ca }),
  })
  writeFileSync(cert, made.cert)
  writeFileSync(key, made.private, { mode: 0o600 })
}

/** What a server that speaks TLS answers to HTTP. */
async function clearText(port: number): Promise<string> {
  const socket = connect(port, '127.0.0.1').on('error', () => {})
  let answer = ''
  socket.on('data', (part) => {
    answer += part
  })
  socket.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n')
  await once(socket, 'close')
  return answer
}

async function usedPort(t: Test): Promise<number> {
  const { createServer } = await import('node:net')
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  return (server.address() as import('node:net').AddressInfo).port
}

t.test('rebuild-index --digests makes what check has called damaged', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data, 'test')
  await fillRaw(data, 40_000, () => {})
  const database = join(data, 'logs/test/log.db')
  const db = new Database(database)
  const changed = db.prepare('UPDATE leaf_run_pages SET keys = substr(keys, 12) WHERE id % 5 = 0').run()
  db.close()
  t.ok(changed.changes > 3)
  const damaged = await run(t, ['check', '--data', data])
  t.equal(damaged.code, 1)
  t.match(
    damaged.errors,
    /the runs of digests by which entries are found .* entries 0 to 16384: .* rebuild-index --digests makes them again/,
  )
  const { code, output } = await run(t, ['rebuild-index', '--data', data, '--digests'])
  t.match([code, output], [0, 'test: 40000 entries are found by their digests again\n'])
  t.match((await run(t, ['check', '--data', data])).output, /^test: 40000 entries, .*: all agree\n$/)
  const server = await serve(t, data)
  const leaf = Buffer.from(leafHash(rawEntry(7))).toString('hex')
  t.match(json(await ask(server.url, `/test/v1/proofs/inclusion?leaf=${leaf}`)), { index: 7 })
  t.equal(await server.stop(), 0)
})

t.test('rebuild-index makes the index again, of the logs that have one', async (t) => {
  const data = temporaryFolder(t)
  await makeRawLog(data, 'raw')
  await makeEventLog(data, [new Actor()], [{ actor: signer }])
  let server = await serve(t, data)
  t.equal((await post(server.url, '/test/v1/events', event(signer, 'model/x', { note: 'findable' }))).status, 201)
  t.equal(await server.stop(), 0)
  const index = join(data, 'logs/test/index.db')
  writeFileSync(index, 'not an index')
  const { code, output } = await run(t, ['rebuild-index', '--data', data])
  t.match([code, output], [0, /^raw: a raw log has no index\ntest: 2 entries in .* a second\n$/])
  const before = statSync(index).ino
  server = await serve(t, data)
  const found = await ask(server.url, '/test/v1/events?text=findable')
  t.match(json(found), { events: [{ index: 1 }], next: null, completeTo: 2 })
  t.equal(await server.stop(), 0)
  t.equal(statSync(index).ino, before, 'the server goes on with it')
  t.match((await run(t, ['rebuild-index', '--data', data, '--log', 'none'])).code, 2)
  t.match((await run(t, ['rebuild-index', '--data', join(data, 'none')])).code, 2)
})
