/**
 * Load, kill, restart: the machinery of crash lanes. What is sent, and what must hold afterwards, is the caller's
 * business, so that each profile of log can be judged by its own law.
 */
import { Pool } from 'undici'
import { eventually, type Server } from './lane.ts'
import type { SeenCheckpoint, TileClient } from './tile-client.ts'

export interface Submission {
  readonly path: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body: Uint8Array
}

export interface Answer<S extends Submission> {
  readonly submission: S
  readonly status: number
  readonly body: Uint8Array
}

/** What clients knew at the moment of the kill. */
export interface Killed<S extends Submission> {
  /** Everything that was answered in full, whatever the status. */
  readonly answers: readonly Answer<S>[]
  /** Sent, at least in part, and never answered: each may be in the log or not. */
  readonly unanswered: readonly S[]
  readonly checkpoints: readonly SeenCheckpoint[]
}

/** Broken promises: of answers, and of anything else. */
export interface Found {
  readonly lost: string[]
  readonly wrong: string[]
}

/** What the clients of a log know of it, over all its crashes. */
export interface Memory {
  readonly data: string
  readonly acknowledged: number
  readonly checkpoints: number
  /** Makes the log. */
  init(): Promise<void>
  client(url: string): TileClient
  next(): Submission
  /** Takes what clients knew at a kill; returns what was wrong with the answers themselves. */
  remember(killed: Killed<Submission>): string[]
  /** Reads the log again after a restart. */
  audit(url: string): Promise<Found>
}

export interface Load {
  readonly connections: number
  /** Answers before the kill may come. */
  readonly least: number
  /** At most so many more answers, and then so many ms: where in its work the server is hit is left to chance. */
  readonly spread: number
  readonly delay: number
}

/**
 * Keeps every connection busy with what `next` gives, and kills the server with SIGKILL at a random moment after
 * `least` answers.
 */
export async function loadAndKill<S extends Submission>(
  server: Server,
  client: TileClient,
  next: () => S,
  load: Load,
): Promise<Killed<S>> {
  const pool = new Pool(server.url, { connections: load.connections, pipelining: 1 })
  const answers: Answer<S>[] = []
  const unanswered: S[] = []
  const checkpoints: SeenCheckpoint[] = []
  const target = load.least + Math.floor(Math.random() * load.spread)
  let killed: Promise<void> | undefined
  const kill = async (): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve, Math.random() * load.delay))
    dead = true
    await server.kill()
  }
  let dead = false

  const write = async (): Promise<void> => {
    while (!dead) {
      const submission = next()
      try {
        const { path, headers = {}, body } = submission
        const answer = await pool.request({ method: 'POST', path, headers, body, headersTimeout: 30_000 })
        answers.push({ submission, status: answer.statusCode, body: await answer.body.bytes() })
        if (answers.length >= target) killed ??= kill()
      } catch (error) {
        unanswered.push(submission)
        if (killed === undefined) throw error
        return
      }
    }
  }
  const watch = async (): Promise<void> => {
    while (!dead) {
      const seen = await client.checkpoint().catch(() => undefined)
      if (seen !== undefined && seen.size !== checkpoints.at(-1)?.size) checkpoints.push(seen)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  try {
    await Promise.all([watch(), ...Array.from({ length: load.connections }, write)])
  } finally {
    dead = true
    await killed
    await pool.destroy()
  }
  return { answers, unanswered, checkpoints }
}

/** A checkpoint of `size` entries or more. What is durable is published after a while: on a busy disk after seconds. */
export function checkpointCovering(size: number, client: TileClient): Promise<SeenCheckpoint> {
  return eventually(
    `a checkpoint of ${size} entries`,
    async () => {
      const checkpoint = await client.checkpoint()
      return checkpoint.size >= size ? checkpoint : undefined
    },
    60,
  )
}
