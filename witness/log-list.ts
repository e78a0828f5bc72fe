/**
 * Which logs a witness knows: strict JSON, written by its operator.
 *
 *   {"logs":[{"vkeys":["log.example/models+…"],"url":"https://log.example/models","tokenFile":"models.token","keeper":true}]}
 *
 * `url` is where the audit reads; without it the log is cosigned only. `keeper` lets the audit read payloads.
 */
import { readFileSync } from 'node:fs'
import { equal } from '../src/core/bytes.ts'
import { TreelineError } from '../src/core/errors.ts'
import { COSIGNATURE_ML_DSA_44, ED25519, type VerifierKey } from '../src/core/note.ts'
import { isObject } from '../src/core/payload.ts'
import { parseJson } from '../src/core/strict-json.ts'
import { parseVkey } from '../src/core/vkey.ts'
import type { WitnessedLog } from './decide.ts'
import { logVerifier } from './native-verify.ts'

export interface ListedLog extends WitnessedLog {
  readonly url: string | undefined
  readonly tokenFile: string | undefined
  readonly keeper: boolean
}

const wrong = (why: string): TreelineError => new TreelineError('USAGE', `the list of logs cannot be used: ${why}`)

/** By origin. Throws USAGE, also for a key that is one of the witness's own. */
export function readLogList(file: string, own: readonly VerifierKey[]): ReadonlyMap<string, ListedLog> {
  let bytes: Uint8Array
  try {
    bytes = new Uint8Array(readFileSync(file))
  } catch (error) {
    throw wrong((error as Error).message)
  }
  return parseLogList(bytes, own)
}

/** Throws USAGE. */
export function parseLogList(bytes: Uint8Array, own: readonly VerifierKey[]): ReadonlyMap<string, ListedLog> {
  const document = members(parse(bytes), 'the document', ['logs'])
  if (!Array.isArray(document.logs)) throw wrong('logs is not an array')
  const logs = new Map<string, ListedLog>()
  const keys = [...own]
  for (const one of document.logs.map(listed)) {
    if (logs.has(one.origin)) throw wrong(`${one.origin} stands twice`)
    for (const { key } of one.verifiers) {
      if (keys.some(({ publicKey }) => equal(publicKey, key.publicKey)))
        throw wrong(`a key of ${one.origin} stands twice, or is one of this witness`)
      keys.push(key)
    }
    logs.set(one.origin, one)
  }
  return logs
}

function listed(value: unknown): ListedLog {
  const one = members(value, 'a log', ['vkeys', 'url', 'tokenFile', 'keeper'])
  if (!Array.isArray(one.vkeys) || one.vkeys.length === 0) throw wrong('a log has no vkeys')
  const keys = one.vkeys.map((vkey) => keyOf(text(vkey, 'a vkey')))
  const origin = keys[0]!.name
  if (keys.some(({ name }) => name !== origin)) throw wrong(`the vkeys of ${origin} have several names`)
  const url = one.url === undefined ? undefined : text(one.url, 'url')
  if (url !== undefined && !/^https?:\/\/[^/?#]+(\/[^?#]*)?$/.test(url)) throw wrong(`"${url}" is not the URL of a log`)
  if (one.keeper !== undefined && typeof one.keeper !== 'boolean') throw wrong('keeper is neither true nor false')
  return {
    origin,
    verifiers: keys.map(logVerifier),
    url: url?.replace(/\/$/, ''),
    tokenFile: one.tokenFile === undefined ? undefined : text(one.tokenFile, 'tokenFile'),
    keeper: one.keeper === true,
  }
}

function parse(bytes: Uint8Array): unknown {
  try {
    return parseJson(bytes, 'USAGE')
  } catch (error) {
    throw wrong((error as Error).message)
  }
}

function keyOf(vkey: string): VerifierKey {
  let key: VerifierKey
  try {
    key = parseVkey(vkey)
  } catch (error) {
    throw wrong((error as Error).message)
  }
  if (key.type === ED25519 || key.type === COSIGNATURE_ML_DSA_44) return key
  throw wrong(`${vkey} is the key of a witness, not of a log`)
}

function members(value: unknown, name: string, known: readonly string[]): Readonly<Record<string, unknown>> {
  if (!isObject(value)) throw wrong(`${name} is not an object`)
  const stray = Object.keys(value).find((key) => !known.includes(key))
  if (stray !== undefined) throw wrong(`${name} has the unknown member ${JSON.stringify(stray.slice(0, 64))}`)
  return value
}

function text(value: unknown, name: string): string {
  if (typeof value !== 'string' || value === '') throw wrong(`${name} is not a text`)
  return value
}
