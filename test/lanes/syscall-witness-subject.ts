/** The witness that `syscalls` and `power` hurt: of one log, which has grown to 5 before. */
import { join } from 'node:path'
import { equal, toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { parseNote } from '../../src/core/note.ts'
import { loadCosigner } from '../../witness/cosigner.ts'
import { openState } from '../../witness/folder.ts'
import { parseLogList } from '../../witness/log-list.ts'
import { Witness } from '../../witness/witness.ts'
import { GrowingLogs } from '../bench/growing-logs.ts'
import { must, tempFolder } from './lane.ts'
import { type Subject, writeWork } from './syscall-subject.ts'
import type { WitnessWork } from './syscall-witness.ts'

const BEFORE = 5
const STEPS = 12

export async function witnessSubject(): Promise<Subject> {
  const folder = join(tempFolder(), 'witness')
  await must(process.execPath, ['cmd/treeline-witness.ts', 'init', '--data', folder, '--name', 'lane.example/w'])
  const growing = new GrowingLogs(1, BEFORE + STEPS + 1)
  const [vkey = ''] = growing.vkeys
  const program = 'test/lanes/syscall-witness.ts'
  const before: WitnessWork = { vkey, bodies: growing.bodies(0, BEFORE) }
  await must(process.execPath, [program, folder, writeWork(before)])
  const bodies = growing.bodies(BEFORE, STEPS)
  const file = writeWork({ vkey, bodies } satisfies WitnessWork)
  const heads = bodies.map((body) => parseCheckpoint(parseNote(toUtf8(body.slice(body.indexOf('\n\n') + 2))).text))
  return {
    ...{ name: 'witness', folder },
    command: (data, early) => [program, data, file, ...(early ? ['early'] : [])],
    async examine(data, output) {
      const problems: string[] = []
      const state = openState(data)
      const stored = state.cosigned(heads[0]!.origin)
      for (const line of output.split('\n').filter((one) => /^\d+$/.test(one))) {
        const { size, root } = heads[Number(line)]!
        if (stored === undefined || stored.size < size) problems.push(`it has forgotten that it cosigned ${size}`)
        else if (stored.size === size && !equal(stored.root, root)) problems.push(`another root at ${size}`)
      }
      // It goes on from there, whatever that is.
      const left = bodies.slice(Number((stored?.size ?? 0n) - BigInt(BEFORE)))
      const cosigner = loadCosigner(data, state.name)
      const logs = parseLogList(toUtf8(JSON.stringify({ logs: [{ vkeys: [vkey] }] })), cosigner.keys)
      const witness = new Witness({ state, logs, cosigner, now: Date.now })
      try {
        for (const body of left) witness.addCheckpoint(toUtf8(body))
      } catch (error) {
        problems.push(`it does not go on: ${error}`)
      } finally {
        state.close()
      }
      return problems
    },
  }
}
