/** Makes types.ts from the schemas: `npm run generate`. A test fails when the two part. */
import { writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { compile, type JSONSchema } from 'json-schema-to-typescript'
import { bundle } from './bundle.ts'

const PREFIX = '#/$defs/'

export async function generate(): Promise<string> {
  const all = bundle(PREFIX) as Record<string, JSONSchema>
  const isText = ({ type, anyOf }: JSONSchema) => type === 'string' || type === 'integer' || anyOf !== undefined
  // Text and numbers in place: a type named Hash would say no more to the compiler than string does.
  const inPlace = (_: string, value: JSONSchema): unknown => {
    const target = value?.$ref === undefined ? undefined : all[value.$ref.slice(PREFIX.length)]
    if (target === undefined || !isText(target)) return value
    return { ...target, ...value, title: undefined, $ref: undefined }
  }
  const $defs = Object.fromEntries(Object.entries(all).filter(([, schema]) => !isText(schema)))
  const text = await compile(JSON.parse(JSON.stringify({ title: 'Root', $defs }, inPlace)), 'Root', {
    bannerComment: '/** Made by generate.ts from the schemas beside it: change those. */',
    unreachableDefinitions: true,
    // As tuples of every allowed length, lists could not be written down.
    ignoreMinAndMaxItems: true,
    style: { semi: false, singleQuote: true, printWidth: 120 },
  })
  return text
    .replace(/^export interface Root \{[^}]*\}\n/m, '')
    .replace(
      /(?: \*\n)? \* This interface was referenced by `Root`'s JSON-Schema\n \* via the `definition` "\w+"\.\n/g,
      '',
    )
    .replace(/\/\*\*\n \*\/\n/g, '')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  writeFileSync(new URL('types.ts', import.meta.url), await generate())
}
