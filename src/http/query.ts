/** JSON Schema of query strings. Values stay text, since coercion is off; a pattern says which text is a number. */

export const NUMBER = { type: 'string', pattern: '^(0|[1-9][0-9]{0,14})$' }
/** 1 to 1,000. */
export const LIMIT = { type: 'string', pattern: '^([1-9][0-9]{0,2}|1000)$' }
/** 32 bytes in lowercase hex. */
export const HASH = { type: 'string', pattern: '^[0-9a-f]{64}$' }

export const query = (properties: Readonly<Record<string, object>>, required: readonly string[] = []): object => ({
  type: 'object',
  properties,
  required,
  additionalProperties: false,
})
