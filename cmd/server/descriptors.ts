/** How many connections the limit of open files leaves room for: a server that has used them up can answer, and cannot publish. */
import { readFileSync } from 'node:fs'

/** Databases with their journals, for each log and each thread that opens it; the checkpoint that is being published; pipes, certificates. */
const BASE = 64
const EACH_LOG = 16

/** The soft limit of this process, or undefined where the system does not say. */
function openFiles(): number | undefined {
  try {
    const [, soft] = /^Max open files +(\d+)/m.exec(readFileSync('/proc/self/limits', 'utf8')) ?? []
    return soft === undefined ? undefined : Number(soft)
  } catch {
    return undefined
  }
}

/** `wanted`, or fewer. A thread that serves needs up to two more for a request that it passes on. */
export function roomForConnections(wanted: number, logs: number, workers: number): number {
  const limit = openFiles()
  if (limit === undefined) return wanted
  const left = limit - BASE - EACH_LOG * logs * (1 + workers)
  return Math.max(1, Math.min(wanted, Math.floor(left / (workers > 0 ? 3 : 1))))
}
