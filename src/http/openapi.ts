/** The API description at /openapi.json, made from the schemas of the routes, and pages that show it at /docs. */
import swagger from '@fastify/swagger'
import swaggerUi from '@fastify/swagger-ui'
import type { FastifyInstance } from 'fastify'
import { bundle } from '../../schemas/bundle.ts'
import { NONE } from './auth.ts'
import { operations, SCHEMAS } from './operations.ts'
import { compileValidator } from './query.ts'

/** No script, style or picture but those that the server itself sends as files. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

const TILE = '/:log/tile/*'

/** Before the routes: it sees those that come after it. */
export async function describeApi(app: FastifyInstance): Promise<void> {
  app.setValidatorCompiler(compileValidator)
  // A serializer made from a schema leaves out what the schema does not know: tests hold answers against the schemas instead.
  app.setSerializerCompiler(() => JSON.stringify)
  await app.register(swagger, {
    convertConstToEnum: false,
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'Treeline',
        version: '1.0.0',
        description:
          'A transparency log for machine-learning pipelines. Writers authenticate by signing what they send. Errors are RFC 9457 documents whose code is one of a closed set.',
        license: { name: 'Apache-2.0', identifier: 'Apache-2.0' } as { name: string },
      },
      servers: [{ url: '/' }],
      components: { securitySchemes: { bearer: { type: 'http', scheme: 'bearer' } } },
    },
    // OpenAPI has no parameter that spans segments, so the tiles of a number below 1,000 stand for all.
    transform: ({ schema, url }) => ({ schema, url: url === TILE ? '/:log/tile/:level/:tile' : url }),
    transformObject(result) {
      if (!('openapiObject' in result)) throw new Error('this is no Swagger 2')
      const document = result.openapiObject
      const paths = document.paths as Record<string, { get?: PathOperation }>
      paths['/{log}/tile/{level}/{tile}.p/{width}'] = { get: partialTile(paths['/{log}/tile/{level}/{tile}']!.get!) }
      return { ...document, components: { ...document.components, schemas: bundle(SCHEMAS) } } as typeof document
    },
  })
  await app.register(swaggerUi, {
    routePrefix: '/docs',
    staticCSP: CONTENT_SECURITY_POLICY,
    uiConfig: { layout: 'BaseLayout', validatorUrl: null },
    theme: { title: 'Treeline API' },
  })
  app.get('/openapi.json', { config: NONE, schema: operations.getDescription }, async () => app.swagger())
}

interface PathOperation {
  readonly parameters: readonly object[]
}

const partialTile = (full: PathOperation): PathOperation => ({
  ...full,
  ...{ operationId: 'getPartialTile', summary: 'The first hashes, or entries, of a tile (C2SP tlog-tiles)' },
  parameters: [
    ...full.parameters,
    { in: 'path', name: 'width', required: true, schema: { type: 'integer', minimum: 1, maximum: 255 } },
  ],
})
