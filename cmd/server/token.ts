import { existsSync } from 'node:fs'
import { logNames } from '../../src/store/folder.ts'
import {
  changeTokens,
  mintToken,
  readTokens,
  TOKEN_SCOPES,
  type TokenScope,
  tokensFile,
} from '../../src/store/tokens.ts'
import { type Command, EXIT, usage } from '../cli.ts'

const DATA = { name: 'data', value: 'DIR', help: 'the data folder', required: true } as const

export const tokenCommands: readonly Command[] = [
  {
    name: 'token add',
    summary:
      'Makes a token for readers and prints it, once; or adds to one. A running server knows it within a second.',
    flags: [
      DATA,
      { name: 'log', value: 'NAME', help: 'what it reads; not for the scope metrics', multiple: true },
      {
        name: 'scope',
        value: 'tree|payload|metrics',
        help: 'tree: checkpoints, proofs, entries; payload: also signed documents and evidence; metrics: /metrics',
        multiple: true,
        required: true,
      },
      {
        name: 'to',
        value: 'ID',
        help: 'add this to a token, by the eight digits that follow "tl_": other logs may have other scopes',
      },
    ],
    async run(options) {
      const data = existing(options.need('data'))
      const scopes = options.all('scope').map((scope) => {
        if ((TOKEN_SCOPES as readonly string[]).includes(scope)) return scope as TokenScope
        throw usage(`--scope is ${TOKEN_SCOPES.join(', ')}, not "${scope}"`)
      })
      const logs = options.all('log')
      const known = logNames(data)
      for (const log of logs) if (!known.includes(log)) throw usage(`there is no log "${log}" in ${data}`)
      if (logs.length === 0 && scopes.some((scope) => scope !== 'metrics')) throw usage('token add: --log is missing')
      const to = options.get('to')
      if (to !== undefined) {
        changeTokens(tokensFile(data), (rules) => {
          const known = rules.find(({ id }) => id === to)
          if (known === undefined) throw usage(`there is no token "${to}": token list shows them`)
          const rule = { ...known, logs: [...new Set(logs)], scopes: [...new Set(scopes)], created: Date.now() }
          return [...rules, rule]
        })
        return EXIT.done
      }
      const { token, rule } = mintToken([...new Set(logs)], [...new Set(scopes)], Date.now())
      changeTokens(tokensFile(data), (rules) => [...rules, rule])
      console.log(token)
      return EXIT.done
    },
  },
  {
    name: 'token list',
    summary: 'Lists the tokens, by the eight digits that follow "tl_" in each.',
    flags: [DATA],
    async run(options) {
      for (const { id, logs, scopes, created } of readTokens(tokensFile(existing(options.need('data')))) ?? []) {
        console.log(`${id}  ${new Date(created).toISOString()}  ${scopes.join(',')}  ${logs.join(',') || '-'}`)
      }
      return EXIT.done
    },
  },
  {
    name: 'token remove',
    operands: 'ID',
    summary: 'Takes a token back. A running server refuses it within a second.',
    flags: [DATA],
    async run(options, [id = '', ...more]) {
      if (more.length > 0) throw usage('token remove takes one ID')
      changeTokens(tokensFile(existing(options.need('data'))), (rules) => {
        const left = rules.filter((rule) => rule.id !== id)
        if (left.length === rules.length) throw usage(`there is no token "${id}": token list shows them`)
        return left
      })
      return EXIT.done
    },
  },
]

function existing(data: string): string {
  if (!existsSync(data)) throw usage(`there is no data folder ${data}`)
  return data
}
