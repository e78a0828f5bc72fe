import { readName, witnessFiles } from '../../witness/folder.ts'
import { WitnessState } from '../../witness/state.ts'
import { type Command, EXIT, printable, usage } from '../cli.ts'

const DATA = { name: 'data', value: 'DIR', help: 'the folder of the witness', required: true } as const

export const statusCommand: Command = {
  name: 'status',
  summary: 'Says of each log what was cosigned and audited, and whether it is frozen; also while the witness runs.',
  flags: [DATA, { name: 'json', help: 'print JSON' }],
  async run(options) {
    const data = options.need('data')
    const name = readName(data)
    const state = WitnessState.open(witnessFiles(data).state)
    try {
      const logs = state.origins().map((origin) => {
        const { size, time } = state.cosigned(origin)!
        const { kind, why } = state.frozen(origin) ?? { kind: null, why: null }
        return { origin, cosigned: Number(size), time, audited: state.audited(origin)?.size ?? 0, frozen: kind, why }
      })
      if (options.is('json')) console.log(JSON.stringify({ name, logs }))
      else {
        console.log(`${name}: ${logs.length} logs`)
        for (const { origin, cosigned, time, audited, frozen, why } of logs) {
          const at = new Date(1000 * time).toISOString()
          console.log(printable(`${origin}: cosigned ${cosigned} at ${at}, audited ${audited}`))
          if (frozen !== null) console.log(printable(`  FROZEN (${frozen}): ${why}`))
        }
      }
      return EXIT.done
    } finally {
      state.close()
    }
  },
}

export const clearCommand: Command = {
  name: 'clear',
  operands: 'ORIGIN',
  summary: 'Ends the freeze of a log after a person has looked. What was cosigned stays as it is.',
  flags: [DATA],
  async run(options, operands) {
    const [origin, ...more] = operands
    if (origin === undefined || more.length > 0) throw usage('clear takes the origin of one log')
    const state = WitnessState.open(witnessFiles(options.need('data')).state)
    try {
      const cleared = state.clear(origin, Date.now())
      if (cleared === 0) throw usage(`${origin} is not frozen`)
      console.log(`${origin}: ${cleared} incidents cleared`)
      return EXIT.done
    } finally {
      state.close()
    }
  },
}
