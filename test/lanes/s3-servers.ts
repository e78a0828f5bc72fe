/** S3 servers of others, started and stopped: Ceph's gateway and Versity's, which keep Object Lock, and moto, which only knows its words. */
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { eventually, must, ROOT, run, spawnChild, tempFolder } from './lane.ts'
import { goTool, pythonTool } from './tools.ts'

const VERSITY = 'v1.8.0'
const CEPH = join(ROOT, 'test/tools/s3-worm')
const HOST = '127.0.0.1'
const KEY = 'wormkey'
const SECRET = 'wormsecret'

export interface S3Server {
  /** Without a slash at the end. */
  readonly url: string
  stop(): Promise<void>
}

export interface Ceph extends S3Server {
  /** SIGKILL to the gateway in front of the storage, and the gateway again on the same port. */
  killGateway(): void
  startGateway(): Promise<void>
  /** Makes a user who owns nothing. */
  makeStranger(): Promise<Credentials>
}

export interface Credentials {
  readonly key: string
  readonly secret: string
}

const OWNER: Credentials = { key: KEY, secret: SECRET }

/** Points the SDK's environment, which a store reads, at a server. */
export function useServer(url: string, { key, secret }: Credentials = OWNER): void {
  Object.assign(process.env, {
    AWS_ENDPOINT_URL_S3: url,
    AWS_ACCESS_KEY_ID: key,
    AWS_SECRET_ACCESS_KEY: secret,
    AWS_REGION: 'us-east-1',
  })
}

/** A client beside the store's, with the owner's rights: what a second program, or an attacker, does. */
export const rawClient = ({ url }: { readonly url: string }): S3Client =>
  new S3Client({
    endpoint: url,
    region: 'us-east-1',
    credentials: { accessKeyId: KEY, secretAccessKey: SECRET },
    forcePathStyle: true,
    requestChecksumCalculation: 'WHEN_REQUIRED',
  })

let buckets = 0

/** A new bucket; with `lock`, versioned and with Object Lock, and no default retention. */
export async function makeBucket(client: S3Client, lock = true): Promise<string> {
  const name = `lane-${process.pid}-${++buckets}`
  await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: lock }))
  return name
}

/** Installs it when it is missing, which needs root. One at a time; its processes end with the lane, however that ends. */
export async function startCeph(): Promise<Ceph> {
  const { code } = await run('sh', ['-c', 'command -v ceph-mon && command -v ceph-osd && command -v radosgw'])
  if (code !== 0) await must(CEPH, ['install'], { seconds: 300 })
  const folder = join(tempFolder(), 'ceph')
  // They are daemons, no children, and nothing of theirs is kept: asked to end, the gateway would first wait for the others. Before the
  // handler that removes the folder with their process ids.
  const stop = () => void spawnSync('sh', ['-c', 'kill -KILL $(cat "$1"/run/*.pid)', 'sh', folder])
  process.prependOnceListener('exit', stop)
  const port = await freeCephPort()
  const url = `http://${HOST}:${port}`
  await must(CEPH, ['start', folder, `${port}`], { seconds: 120 })
  const env = { CEPH_CONF: join(folder, 'ceph.conf') }
  const pidFile = join(folder, 'run/rgw.pid')
  return {
    url,
    async stop() {
      stop()
    },
    killGateway() {
      const pid = readFileSync(pidFile, 'utf8').trim()
      // Not of Node's: it may be gone already.
      spawnSync('kill', ['-KILL', pid])
    },
    async startGateway() {
      const gateway = spawnChild('radosgw', ['-f', '-n', 'client.rgw.a'], env)
      gateway.stdout?.resume()
      gateway.stderr?.resume()
      writeFileSync(pidFile, `${gateway.pid}\n`)
      await answers(url)
    },
    async makeStranger() {
      const stranger = { key: 'stranger', secret: 'strangersecret' }
      const names = ['--uid=stranger', '--display-name=stranger']
      const keys = [`--access-key=${stranger.key}`, `--secret-key=${stranger.secret}`]
      await must('radosgw-admin', ['user', 'create', ...names, ...keys], { env })
      return stranger
    },
  }
}

/** On a file system, its versions in a folder beside. */
export async function startVersity(): Promise<S3Server> {
  const program = await goTool('github.com/versity/versitygw/cmd/versitygw', VERSITY)
  const folder = tempFolder()
  const [objects, versions] = [join(folder, 'objects'), join(folder, 'versions')]
  for (const path of [objects, versions]) mkdirSync(path)
  const port = await freePort()
  const flags = ['--port', `${HOST}:${port}`, '--quiet', 'posix', '--versioning-dir', versions, objects]
  return await startProcess(program, flags, port, { ROOT_ACCESS_KEY: KEY, ROOT_SECRET_KEY: SECRET })
}

/** In memory, asks for no credentials. */
export async function startMoto(): Promise<S3Server> {
  const port = await freePort()
  return await startProcess(await pythonTool('moto', 'moto_server'), ['-H', HOST, '-p', `${port}`], port)
}

async function startProcess(program: string, args: string[], port: number, env = {}): Promise<S3Server> {
  const child = spawnChild(program, args, env)
  child.stdout?.resume()
  child.stderr?.resume()
  const closed = once(child, 'close')
  const url = `http://${HOST}:${port}`
  await answers(url)
  return {
    url,
    async stop() {
      child.kill('SIGTERM')
      await closed
    },
  }
}

async function answers(url: string): Promise<void> {
  await eventually(`an answer of ${url}`, async () => {
    const response = await fetch(url).catch(() => undefined)
    await response?.body?.cancel()
    return response?.status
  })
}

/** Its monitor listens 20,000 and 20,001 above the gateway, which must be below the ports that the kernel gives away. */
async function freeCephPort(): Promise<number> {
  // From anywhere: two lanes that start at once would find the same port free.
  const from = Math.floor(Math.random() * 300)
  for (let i = 0; i < 300; i++) {
    const port = 12_000 + ((from + i) % 300) * 2
    const free = await Promise.all([port, port + 20_000, port + 20_001].map((one) => freePort(one).catch(() => 0)))
    if (!free.includes(0)) return port
  }
  throw new Error('no free ports for Ceph')
}

export async function freePort(port = 0): Promise<number> {
  const server = createServer().listen(port, HOST)
  await once(server, 'listening')
  const address = server.address() as { port: number }
  server.close()
  await once(server, 'close')
  return address.port
}
