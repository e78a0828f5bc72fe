/** Query strings: what a route takes, as JSON Schema, and how their text becomes it. */
import { Ajv2020, type ErrorObject } from 'ajv/dist/2020.js'
import type { FastifySchemaCompiler } from 'fastify'
import { parseSize } from '../core/bytes.ts'
import { TreelineError } from '../core/errors.ts'

export const NUMBER = { type: 'integer', minimum: 0, maximum: Number.MAX_SAFE_INTEGER } as const
export const LIMIT = { type: 'integer', minimum: 1, maximum: 1_000, default: 100 } as const
export const ORDER = { type: 'string', enum: ['asc', 'desc'], default: 'asc' } as const
export const LINEAGE_DEPTH = { type: 'integer', minimum: 0, maximum: 1_000, default: 64 } as const
export const LINEAGE_LIMIT = { type: 'integer', minimum: 1, maximum: 20_000, default: 1_000 } as const
/** Holds the answer back until a published checkpoint with a full quorum of witnesses covers it. */
export const WAIT = { type: 'string', enum: ['witnessed'] } as const
/** 32 bytes in lowercase hex. */
export const HASH = { type: 'string', pattern: '^[0-9a-f]{64}$' } as const

interface QuerySchema {
  readonly type: 'object'
  readonly properties: Readonly<Record<string, { readonly type: 'integer' | 'string' }>>
  readonly required: readonly string[]
  readonly additionalProperties: false
}

export const query = (properties: QuerySchema['properties'], required: readonly string[] = []): QuerySchema => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})

const ajv = new Ajv2020({ strict: true })

/**
 * Judges query strings and nothing else: bodies have strict parsers of their own, and a path that names nothing is 404. Coercion would
 * take " 7", "7e0" and "07" for 7; a number here has one spelling, and reaches the handler as a number.
 */
export const compileValidator: FastifySchemaCompiler<unknown> = ({ schema, httpPart }) => {
  if (httpPart !== 'querystring') return () => true
  const { properties } = schema as QuerySchema
  const validate = ajv.compile(schema as QuerySchema)
  return (found: Readonly<Record<string, unknown>>) => {
    const value = Object.fromEntries(
      Object.entries(found).map(([name, text]) => [
        name,
        properties[name]?.type === 'integer' && typeof text === 'string' ? (parseSize(text) ?? text) : text,
      ]),
    )
    return validate(value) ? { value } : { error: refusal(validate.errors![0]!) }
  }
}

function refusal({ keyword, instancePath, params, message }: ErrorObject): TreelineError {
  const why =
    keyword === 'additionalProperties'
      ? `there is no parameter ${JSON.stringify(params.additionalProperty.slice(0, 64))} here`
      : keyword === 'required'
        ? `the parameter ${params.missingProperty} is missing`
        : `the parameter ${instancePath.slice(1)} ${message}, once`
  return new TreelineError('UNKNOWN_PARAMETER', `${why}: see /docs`)
}
