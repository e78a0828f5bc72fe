import { openState } from '../../witness/folder.ts'
import { type Command, EXIT, printable } from '../cli.ts'

export const statusCommand: Command = {
  name: 'status',
  summary: 'Says how far each log was cosigned, audited and copied, and which are frozen; also while the witness runs.',
  flags: [
    { name: 'data', value: 'DIR', help: 'the data folder', required: true },
    { name: 'json', help: 'print JSON: sizes as text, times in ms' },
  ],
  async run(options) {
    const state = openState(options.need('data'))
    try {
      const logs = state.all().map(({ origin, size, time }) => {
        const incident = state.frozen(origin)
        return {
          origin,
          cosigned: String(size),
          audited: String(state.audited(origin)?.size ?? 0),
          copied: String(state.copies.snapshot(origin)?.size ?? 0),
          time: time * 1000,
          frozen: incident === undefined ? null : { kind: incident.kind, since: incident.opened },
        }
      })
      if (options.is('json')) console.log(JSON.stringify({ name: state.name, logs }))
      else if (logs.length === 0) console.log('nothing was cosigned yet')
      else for (const log of logs) console.log(line(log))
      return EXIT.done
    } finally {
      state.close()
    }
  },
}

interface Line {
  readonly origin: string
  readonly cosigned: string
  readonly audited: string
  /** In write-once storage. */
  readonly copied: string
  readonly time: number
  readonly frozen: { readonly kind: string; readonly since: number } | null
}

const line = ({ origin, cosigned, audited, copied, time, frozen }: Line): string =>
  `${printable(origin)}: cosigned ${cosigned} at ${date(time)}, audited ${audited}, copied ${copied}${
    frozen === null ? '' : `, frozen since ${date(frozen.since)}: ${frozen.kind}`
  }`

const date = (ms: number): string => new Date(ms).toISOString()
