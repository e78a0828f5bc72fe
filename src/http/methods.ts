/** Which methods a path takes, for the answer to the others (RFC 9110 section 15.5.6). */
import type { FastifyInstance } from 'fastify'

/** Before the routes: it sees those that come after it. */
export function allowedMethods(app: FastifyInstance): (path: string) => readonly string[] {
  const routes = new Map<string, { readonly pattern: RegExp; readonly wildcards: number; readonly methods: string[] }>()
  app.addHook('onRoute', ({ url, method }) => {
    const pattern = new RegExp(`^${url.replaceAll('.', '\\.').replace(/:\w+/g, '[^/]+').replace('*', '.+')}$`)
    const wildcards = url.split(/[:*]/).length
    const route = routes.get(url) ?? { pattern, wildcards, methods: [] }
    route.methods.push(...[method].flat())
    routes.set(url, route)
  })
  return (path) => {
    const here = [...routes.values()].filter(({ pattern }) => pattern.test(path))
    // Of `events/batch` and `events/:index` the former is what `events/batch` names.
    return here.sort((a, b) => a.wildcards - b.wildcards)[0]?.methods ?? []
  }
}
