/** Holds answers against the API description that the server gives of itself. */
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js'
import { buildServer } from '../../src/http/server.ts'

interface Media {
  readonly schema: { readonly 'x-line'?: object }
}

interface OpenApiOperation {
  readonly operationId?: string
  readonly summary?: string
  readonly parameters?: readonly { readonly name: string }[]
  readonly responses: Readonly<Record<string, { readonly content?: Readonly<Record<string, Media>> }>>
}

export interface OpenApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>
  readonly components: { readonly schemas: Readonly<Record<string, object>> }
}

/** A server without logs describes what any server does. */
async function describedApi(): Promise<OpenApiDocument> {
  const app = await buildServer(new Map(), { bodyLimit: 1, batchBytes: 1, waitLimit: 1 })
  return JSON.parse(JSON.stringify(app.swagger())) as OpenApiDocument
}

const { paths, components } = await describedApi()
const ajv = new Ajv2020({ strict: true, allowUnionTypes: true, strictTypes: false, strictRequired: false })
ajv.addVocabulary(['x-line', 'components'])
ajv.addSchema({ $id: 'api', components })

const templates = Object.keys(paths).map((template) => ({
  template,
  // The number of a tile is the one parameter that may span segments.
  pattern: new RegExp(
    `^${template
      .replaceAll('.', '\\.')
      .replace('{tile}', '.+')
      .replace(/\{\w+\}/g, '[^/]+')}$`,
  ),
}))

const compiled = new Map<object, ValidateFunction>()
function validatorOf(schema: object): ValidateFunction {
  const known = compiled.get(schema)
  if (known !== undefined) return known
  const made = ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('"#/components/', '"api#/components/')))
  compiled.set(schema, made)
  return made
}

function expect(schema: object, value: unknown, name: string): void {
  const validate = validatorOf(schema)
  if (!validate(value))
    throw new Error(`${name}: ${ajv.errorsText(validate.errors)}: ${JSON.stringify(value)?.slice(0, 500)}`)
}

/** Throws when the description does not allow the answer: its status, its media type, or its body. Pages below /docs are not described. */
export function checkAnswer(
  method: string,
  path: string,
  status: number,
  contentType: string | undefined,
  body: Uint8Array,
): void {
  const [bare = ''] = path.split('?')
  if (/^\/docs(\/|$)/.test(bare)) return
  const name = `${method} ${bare.slice(0, 200)} → ${status} ${contentType}`
  const text = () => Buffer.from(body).toString()
  const here = templates.filter(({ pattern }) => pattern.test(bare)).map(({ template }) => paths[template]!)
  const verb = method === 'HEAD' ? 'get' : method.toLowerCase()
  const operations = here.flatMap((operation) => operation[verb] ?? [])
  if (operations.length === 0) {
    const [wanted, code] = here.length === 0 ? [404, 'NOT_FOUND'] : [405, 'METHOD_NOT_ALLOWED']
    if (status !== wanted) throw new Error(`${name}: nothing is described there, so it is ${wanted}`)
    if (method !== 'HEAD') expect(problem(code), JSON.parse(text()), name)
    return
  }
  const response = operations.map(({ responses }) => responses[status]).find((one) => one !== undefined)
  if (response === undefined) throw new Error(`${name}: the status is not described: ${text().slice(0, 500)}`)
  if (response.content === undefined || method === 'HEAD') {
    if (body.length > 0) throw new Error(`${name}: no body is described`)
    return
  }
  const type = contentType?.split(';')[0]?.trim() ?? ''
  const media = response.content[type]
  if (media === undefined) throw new Error(`${name}: the media type is not described`)
  const line = media.schema['x-line']
  if (line !== undefined) {
    for (const one of text().split('\n').slice(0, -1)) expect(line, JSON.parse(one), name)
  } else if (type.endsWith('json')) expect(media.schema, JSON.parse(text()), name)
}

const problems = new Map<string, object>()
function problem(code: string): object {
  const known = problems.get(code) ?? {
    allOf: [{ $ref: '#/components/schemas/Problem' }, { properties: { code: { const: code } } }],
  }
  problems.set(code, known)
  return known
}
