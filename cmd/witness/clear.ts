import { openState } from '../../witness/folder.ts'
import { type Command, EXIT, usage } from '../cli.ts'

export const clearCommand: Command = {
  name: 'clear',
  operands: 'ORIGIN',
  summary: 'Lets a witness cosign a log again after a person has looked at its incident; also while it runs.',
  flags: [{ name: 'data', value: 'DIR', help: 'the data folder', required: true }],
  async run(options, operands) {
    const [origin, ...more] = operands
    if (origin === undefined || more.length > 0) throw usage('clear takes one origin')
    const state = openState(options.need('data'))
    try {
      const cleared = state.clear(origin, Date.now())
      if (cleared === 0) throw usage(`nothing is open against ${origin}: treeline-witness status lists the origins`)
      console.log(`${cleared} cleared`)
      return EXIT.done
    } finally {
      state.close()
    }
  },
}
