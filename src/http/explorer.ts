/** The explorer: the files that `npm run build` made of src/explorer, read once and served from memory. */
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { extname, join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { FastifyInstance } from 'fastify'
import { NONE } from './auth.ts'
import { acceptsGzip } from './gzip.ts'
import { operations } from './operations.ts'

/** Nothing but the server's own files runs, and nothing that runs may ask another server: what is dropped on the page stays in it. */
const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
  "require-trusted-types-for 'script'",
  "trusted-types 'none'",
].join('; ')

/** Bundles are named by their content. */
const IMMUTABLE = 'public, max-age=31536000, immutable'

const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8',
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.svg': 'image/svg+xml',
}

interface BuiltFile {
  readonly path: string
  readonly type: string
  readonly bytes: Buffer
  readonly packed: Buffer
  readonly etag: string
}

/** Undefined where nothing was built. Throws for a file of a kind that the build does not make. */
export function readExplorer(folder: string): readonly BuiltFile[] | undefined {
  if (!existsSync(join(folder, 'index.html'))) return undefined
  const assets = readdirSync(join(folder, 'assets')).map((name) => `assets/${name}`)
  return ['index.html', ...assets].map((path) => {
    const type = TYPES[extname(path)]
    if (type === undefined)
      throw new Error(`${join(folder, path)} is nothing that the explorer is made of: build it again`)
    const bytes = readFileSync(join(folder, path))
    const etag = `"${createHash('sha256').update(bytes).digest('hex').slice(0, 32)}"`
    return { path, type, bytes, packed: gzipSync(bytes, { level: 9 }), etag }
  })
}

/** Open to everyone: the page holds nothing of any log, and asks for a token where reading takes one. */
export function explorerRoutes(app: FastifyInstance, files: readonly BuiltFile[]): void {
  for (const { path, type, bytes, packed, etag } of files) {
    const isPage = path === 'index.html'
    const headers = {
      'content-type': type,
      'cache-control': isPage ? 'no-cache' : IMMUTABLE,
      etag,
      vary: 'accept-encoding',
      'referrer-policy': 'no-referrer',
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-resource-policy': 'same-origin',
      ...(isPage && { 'content-security-policy': CONTENT_SECURITY_POLICY, 'x-frame-options': 'DENY' }),
    }
    const schema = isPage ? operations.getPage : { hide: true }
    app.get(isPage ? '/' : `/${path}`, { config: NONE, schema }, async (request, reply) => {
      reply.headers(headers)
      if (request.headers['if-none-match'] === etag) return reply.code(304).send()
      if (!acceptsGzip(request.headers['accept-encoding'])) return reply.send(bytes)
      return reply.header('content-encoding', 'gzip').send(packed)
    })
  }
}
