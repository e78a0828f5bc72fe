/** Who may read what. Writers need nothing here: they sign what they send. */
import { statSync } from 'node:fs'
import type { FastifyInstance, FastifyReply, FastifyRequest, HookHandlerDoneFunction, RouteOptions } from 'fastify'
import { TreelineError } from '../core/errors.ts'
import { readTokens, type TokenRule, type TokenScope, TokenSet } from '../store/tokens.ts'

/** What a route takes: `none` is open to all. */
type Scope = TokenScope | 'none'

declare module 'fastify' {
  interface FastifyContextConfig {
    readonly scope?: Scope
  }
  interface FastifyRequest {
    /** Set on routes that need a scope. */
    reader: Reader | undefined
  }
}

export interface Reader {
  /** Of its token; undefined for anyone. */
  readonly token?: string
  may(log: string, scope: 'tree' | 'payload'): boolean
  readonly mayMeasure: boolean
}

export interface Gate {
  /** Undefined when the request must say who it is. */
  readerOf(authorization: string | undefined): Reader | undefined
}

/** The `config` of routes. */
export const NONE = { scope: 'none' } as const
export const TREE = { scope: 'tree' } as const
export const PAYLOAD = { scope: 'payload' } as const

/** Everything is open: for a server on loopback that has no tokens. */
export const OPEN: Reader = { may: () => true, mayMeasure: true }
/** Logs are open to the world, measurements are not. */
const PUBLIC: Reader = { may: () => true, mayMeasure: false }

const holder = (rules: readonly [TokenRule, ...TokenRule[]]): Reader => ({
  token: rules[0].id,
  may: (log, scope) =>
    rules.some(
      ({ logs, scopes }) =>
        logs.includes(log) &&
        // Evidence holds all that the tree shows of an entry, so `payload` without `tree` would only pretend.
        (scopes.includes('payload') || (scope === 'tree' && scopes.includes('tree'))),
    ),
  mayMeasure: rules.some(({ scopes }) => scopes.includes('metrics')),
})

/** How old the knowledge of the file may be, ms. */
const STALE = 1_000

export interface GateOptions {
  readonly file: string
  /** Logs are read without a token, whatever the file says. */
  readonly public: boolean
  /** Nobody but this machine can connect: as long as there never was a file of tokens, all is open. */
  readonly loopback: boolean
  /** Told when the file cannot be used; what was known before goes on. */
  readonly onFailure: (error: unknown) => void
}

/** Knows the tokens of a data folder, and sees within a second when they change. Throws USAGE for a file that cannot be used. */
export class TokenGate implements Gate {
  readonly #options: GateOptions
  #stamp: string
  #tokens: TokenSet | undefined
  #looked = performance.now()

  constructor(options: GateOptions) {
    this.#options = options
    this.#stamp = stampOf(options.file)
    this.#tokens = readSet(options.file)
  }

  readerOf(authorization: string | undefined): Reader | undefined {
    if (performance.now() - this.#looked > STALE) this.#look()
    const [rule, ...more] = (authorization === undefined ? undefined : this.#tokens?.find(bearer(authorization))) ?? []
    const known = rule && holder([rule, ...more])
    if (this.#options.public) return known?.mayMeasure ? { ...PUBLIC, mayMeasure: true } : PUBLIC
    if (this.#tokens === undefined && this.#options.loopback) return OPEN
    return known
  }

  #look(): void {
    const { file, onFailure } = this.#options
    this.#looked = performance.now()
    const stamp = stampOf(file)
    if (stamp === this.#stamp) return
    this.#stamp = stamp
    try {
      // A file that is gone takes its tokens with it, and opens nothing.
      this.#tokens = readSet(file) ?? new TokenSet([])
    } catch (error) {
      this.#tokens ??= new TokenSet([])
      onFailure(error)
    }
  }
}

const readSet = (file: string): TokenSet | undefined => {
  const rules = readTokens(file)
  return rules && new TokenSet(rules)
}

/** Another file, or another content, has another stamp. */
function stampOf(file: string): string {
  const found = statSync(file, { throwIfNoEntry: false })
  return found === undefined ? '' : `${found.ino} ${found.mtimeMs} ${found.size} ${found.mode}`
}

const bearer = (authorization: string): string => /^bearer +(\S+)$/i.exec(authorization)?.[1] ?? ''

/** Before the routes. A route that does not say its scope stops the start: nothing is open because somebody forgot. */
export function guardRoutes(app: FastifyInstance, gate: Gate): void {
  app.decorateRequest('reader', undefined)
  app.addHook('onRoute', (route) => {
    // The pages of the API description are the same for every server of this version.
    const scope = route.config?.scope ?? (/^\/docs(\/|$)/.test(route.url) ? 'none' : undefined)
    if (scope === undefined) throw new Error(`${route.url} does not say which scope it takes`)
    if (scope !== 'none') addRouteHook(route, guard(gate, scope))
  })
}

type RouteHook = (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => void

/** A copy of the list: Fastify makes a HEAD route of the same options, which would get the hook twice. */
export function addRouteHook(route: RouteOptions, hook: RouteHook): void {
  route.onRequest = [...[route.onRequest ?? []].flat(), hook]
}

const guard =
  (gate: Gate, scope: TokenScope): RouteHook =>
  (request, reply, done) => {
    const reader = gate.readerOf(request.headers.authorization)
    if (reader === undefined) {
      const given = request.headers.authorization !== undefined
      if (given) reply.header('www-authenticate', 'Bearer error="invalid_token"')
      const why = given ? 'this token is not known' : 'this server takes a token'
      done(new TreelineError('UNAUTHENTICATED', `${why}: its operator makes one with treeline-server token add`))
      return
    }
    request.reader = reader
    const { log } = request.params as { readonly log?: string }
    // A route of the whole server shows of each log what the reader may see.
    const allowed = scope === 'metrics' ? reader.mayMeasure : log === undefined || reader.may(log, scope)
    if (allowed) done()
    else if (reader.token === undefined)
      done(new TreelineError('UNAUTHENTICATED', `this takes a token with the scope ${scope}`))
    else done(new TreelineError('FORBIDDEN', `this token does not have the scope ${scope} here`))
  }

/** What the holder of a token may read, another may not: no cache between may keep it. */
export function keepPrivate(reply: FastifyReply): void {
  const given = reply.getHeader('cache-control')
  if (given === undefined) reply.header('cache-control', 'private, no-cache')
  else if (typeof given === 'string' && !/\b(private|no-store)\b/.test(given))
    reply.header('cache-control', `private, ${given.replace(/^public, /, '')}`)
}
