/** litewitness, a witness of others, from torchwood: its key in an agent, its logs in a database that it lists them in. */
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { createServer } from 'node:net'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { toBase64 } from '../../src/core/bytes.ts'
import { EMPTY_ROOT } from '../../src/core/merkle.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { eventually, must, spawnChild, tempFolder } from './lane.ts'
import { goTool, needProgram } from './tools.ts'

const TORCHWOOD = 'v0.9.0'

export interface Party {
  readonly url: string
  readonly vkey: string
}

export async function freePort(): Promise<number> {
  const probe = createServer()
  probe.listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as { port: number }
  probe.close()
  return port
}

/** Its key is in an agent, and its logs in a database that its own tool would fill; that one does not build here. */
export async function startLitewitness(logs: readonly string[]): Promise<Party & { stop(): void }> {
  await needProgram('ssh-agent', 'apt-get install openssh-client')
  const litewitness = await goTool('filippo.io/torchwood/cmd/litewitness', TORCHWOOD)
  const folder = tempFolder()
  const [agent, key, file] = [join(folder, 'agent'), join(folder, 'key'), join(folder, 'db')] as const
  spawnChild('ssh-agent', ['-D', '-a', agent])
  await must('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
  await eventually('the agent', async () => (existsSync(agent) ? true : undefined))
  await must('ssh-add', ['-q', key], { env: { SSH_AUTH_SOCK: agent } })
  const [, fingerprint = ''] = /(SHA256:\S+)/.exec(await must('ssh-keygen', ['-l', '-f', `${key}.pub`])) ?? []
  const db = new Database(file)
  db.exec(`CREATE TABLE log (origin TEXT PRIMARY KEY, tree_size INTEGER NOT NULL, tree_hash TEXT NOT NULL);
    CREATE TABLE key (origin TEXT NOT NULL, key TEXT NOT NULL, FOREIGN KEY(origin) REFERENCES log(origin));`)
  for (const vkey of logs) {
    const { name } = parseVkey(vkey)
    db.prepare('INSERT INTO log VALUES (?, 0, ?)').run(name, toBase64(EMPTY_ROOT))
    db.prepare('INSERT INTO key VALUES (?, ?)').run(name, vkey)
  }
  db.close()
  const listen = `127.0.0.1:${await freePort()}`
  const flags = ['-name', 'lite.example/w', '-db', file, '-ssh-agent', agent, '-key', fingerprint, '-listen', listen]
  const child = spawnChild(litewitness, flags)
  let said = ''
  for (const stream of [child.stdout!, child.stderr!]) {
    stream.on('data', (part) => {
      said += part
    })
  }
  const vkey = await eventually('litewitness', async () => /vkey"?[=:]"?(lite\.example\/w\+[^\s"]+)/.exec(said)?.[1])
  await eventually('litewitness listens', async () => {
    const answer = await fetch(`http://${listen}/`).catch(() => undefined)
    return answer && true
  })
  return { url: `http://${listen}`, vkey, stop: () => child.kill('SIGKILL') }
}
