/** The plain page: the logs of this server, for people. Nothing in it runs. At /logs, and at / as long as no explorer is built. */
import { createHash } from 'node:crypto'
import helmet from '@fastify/helmet'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { TREE } from './auth.ts'
import { operations } from './operations.ts'
import type { ServedLog, ServedLogs } from './served-log.ts'

const STYLE = `:root{color-scheme:light dark}
body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}
dl{display:grid;grid-template-columns:max-content 1fr;gap:.2rem 1rem;margin:0 0 2rem}
dt{color:color-mix(in srgb,currentColor 75%,transparent)}dd{margin:0;overflow-wrap:anywhere}
@media (max-width:30rem){dl{grid-template-columns:1fr}}`

/** In a context of its own: the headers of a page cost time on a route that answers bytes to programs. */
export async function pageRoutes(app: FastifyInstance, logs: ServedLogs, atRoot: boolean): Promise<void> {
  await app.register(async (pages) => {
    // The policy of all other answers allows no style, and would go before the page's own.
    pages.addHook('onRequest', (_request, reply, done) => {
      reply.removeHeader('content-security-policy')
      done()
    })
    await pages.register(helmet, {
      contentSecurityPolicy: {
        useDefaults: false,
        directives: {
          defaultSrc: ["'none'"],
          // The one style there is, by its hash.
          styleSrc: [`'sha256-${createHash('sha256').update(STYLE).digest('base64')}'`],
          baseUri: ["'none'"],
          formAction: ["'none'"],
          frameAncestors: ["'none'"],
        },
      },
      xFrameOptions: { action: 'deny' },
      // The server sets it on every answer, where it speaks TLS.
      strictTransportSecurity: false,
    })
    const answer = async ({ reader }: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const visible = [...logs.values()].filter(({ log }) => reader!.may(log.name, 'tree'))
      return reply.type('text/html; charset=utf-8').header('cache-control', 'no-cache').send(page(visible))
    }
    if (atRoot) pages.get('/', { config: TREE, schema: operations.getPage }, answer)
    pages.get('/logs', { config: TREE, schema: operations.getPlainPage }, answer)
  })
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ENTITIES[character]!)

const page = (logs: readonly ServedLog[]): string => `<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Treeline</title><style>${STYLE}</style></head>
<body>
<main>
<h1>Treeline</h1>
<p>Transparency logs of this server. Compare a verifier key with what its operator made known elsewhere before you trust it. Programs: <a href="/docs">API</a>, <a href="/v1/logs">list of logs</a>.</p>
${logs.length === 0 ? '<p>There is no log that you may read.</p>' : logs.map(section).join('\n')}
</main>
</body>
</html>
`

function section({ log, events }: ServedLog): string {
  const facts: readonly (readonly [string, string])[] = [
    ['Origin', escapeHtml(log.origin)],
    ['Profile', escapeHtml(log.store.profile)],
    ['Entries', String(log.head.tree.size)],
    [
      'Published',
      log.published === undefined
        ? 'nothing yet'
        : `${log.published.size} (<a href="/${log.name}/checkpoint">checkpoint</a>)`,
    ],
    ['Verifier key', `<code>${escapeHtml(log.vkey)}</code>`],
    ...(log.restored ? [['State', 'restored from a copy: read only, for ever'] as const] : []),
    ...(events?.successorOf
      ? [['Succeeds', `${escapeHtml(events.successorOf.origin)} at size ${events.successorOf.size}`] as const]
      : []),
  ]
  const id = `log-${log.name}`
  return `<section aria-labelledby="${id}">
<h2 id="${id}">${escapeHtml(log.name)}</h2>
<dl>${facts.map(([name, value]) => `<dt>${name}</dt><dd>${value}</dd>`).join('')}</dl>
</section>`
}
