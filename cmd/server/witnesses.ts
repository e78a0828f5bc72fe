/** The witness policies of a server: C2SP tlog-policy files, each for the logs that it lists. */
import { readFileSync } from 'node:fs'
import { formatVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy, type WitnessPolicy } from '../../src/core/witness-policy.ts'
import { plain } from '../../src/store/plain.ts'
import { usage } from '../cli.ts'

/** By the verifier key of the log. Throws USAGE, also for two policies of one log. */
export function readWitnessPolicies(files: readonly string[]): (vkey: string) => WitnessPolicy | undefined {
  const byLog = new Map<string, WitnessPolicy>()
  for (const file of files) {
    const policy = read(file)
    if (policy.logs.length === 0) throw usage(`the witness policy ${file} lists no log`)
    for (const { key } of policy.logs) {
      const vkey = formatVkey(key)
      if (byLog.has(vkey)) throw usage(`${key.name} stands in two witness policies`)
      byLog.set(vkey, policy)
    }
  }
  return (vkey) => byLog.get(vkey)
}

function read(file: string): WitnessPolicy {
  try {
    return parseWitnessPolicy(plain(readFileSync(file)))
  } catch (error) {
    throw usage(`the witness policy ${file} cannot be used: ${(error as Error).message}`)
  }
}
