/** Whether the process lives, whether its logs take entries, and a page that lists them. */
import { createHash } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { ServedLogs } from './served-log.ts'

export function healthRoutes(app: FastifyInstance, logs: ServedLogs): void {
  app.get('/healthz', async (_request, reply) => reply.header('cache-control', 'no-store').send({ alive: true }))

  app.get('/readyz', async (_request, reply) => {
    const states = [...logs.values()].map(({ log }) => {
      const { refusal } = log
      return {
        name: log.name,
        ready: refusal === undefined,
        code: refusal?.code ?? null,
        why: refusal?.message ?? null,
      }
    })
    const ready = states.every((state) => state.ready)
    return reply
      .code(ready ? 200 : 503)
      .header('cache-control', 'no-store')
      .send({ ready, logs: states })
  })

  app.get('/', async (_request, reply) =>
    reply
      .type('text/html; charset=utf-8')
      .header('content-security-policy', POLICY)
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .send(page(logs)),
  )
}

const STYLE = `:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #8886;vertical-align:top}code{overflow-wrap:anywhere}`

/** Nothing runs and nothing is loaded; the one style is allowed by its hash. */
const POLICY = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(STYLE).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character]!)

function page(logs: ServedLogs): string {
  const rows = [...logs.values()].map(({ log }) => {
    const cells = [
      `<a href="/${log.name}/checkpoint">${log.name}</a>`,
      escapeHtml(log.origin),
      escapeHtml(log.store.profile),
      String(log.published?.tree.size ?? 'none'),
      `<code>${escapeHtml(log.vkey)}</code>`,
    ]
    return `<tr>${cells.map((cell) => `<td>${cell}</td>`).join('')}</tr>`
  })
  const heads = ['log', 'origin', 'profile', 'published size', 'verifier key'].map(
    (head) => `<th scope="col">${head}</th>`,
  )
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Treeline</title><style>${STYLE}</style></head>
<body><main><h1>Treeline</h1><p>Transparency logs of this server. Compare a key with what its operator published elsewhere before you trust it.</p>
<table><thead><tr>${heads.join('')}</tr></thead><tbody>${rows.join('')}</tbody></table></main></body></html>
`
}
