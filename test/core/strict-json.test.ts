import fc from 'fast-check'
import t from 'tap'
import { concat, toUtf8 } from '../../src/core/bytes.ts'
import { MAX_JSON_DEPTH, parseJson } from '../../src/core/strict-json.ts'

const parse = (text: string) => parseJson(toUtf8(text), 'MALFORMED_PAYLOAD')

t.test('reads every JSON value as JSON.parse does', (t) => {
  fc.assert(
    fc.property(fc.json({ stringUnit: 'binary' }), (text) => {
      t.same(parse(text), JSON.parse(text))
    }),
    { numRuns: 300 },
  )
  for (const text of [
    '0',
    '-1e3',
    '""',
    'null',
    ' [ ] ',
    '{"a":{"a":{"a":1}}}',
    '{"":0," ":1}',
    '"\\\\"',
    '{"a\\"":":","b":"{["}',
  ]) {
    t.same(parse(text), JSON.parse(text), text)
  }
  t.equal(parse('"\\ud83d\\ude00"'), '😀', 'a pair of escaped surrogates')
  t.equal(parse('"\\\\ud800"'), '\\ud800', 'an escaped backslash is not an escape')
  t.end()
})

t.test('refuses the same as JSON.parse, and bytes that are not text', (t) => {
  for (const [name, bytes] of [
    ['empty', toUtf8('')],
    ['byte order mark', toUtf8('\ufeff{}')],
    ['bad UTF-8', concat(toUtf8('"'), Uint8Array.of(0xc3), toUtf8('"'))],
    ['overlong UTF-8', concat(toUtf8('"'), Uint8Array.of(0xc0, 0xaf), toUtf8('"'))],
    ['surrogate in UTF-8', concat(toUtf8('"'), Uint8Array.of(0xed, 0xa0, 0x80), toUtf8('"'))],
    ['UTF-16', concat(Uint8Array.of(0xfe, 0xff, 0, 0x30))],
    ...[
      '{',
      '}',
      '{"a"}',
      '{"a":}',
      '{"a":1,}',
      '[1,]',
      '{a:1}',
      "{'a':1}",
      '01',
      '+1',
      '1.',
      '.5',
      'NaN',
      'Infinity',
      '-',
      'undefined',
      '"\n"',
      '"\\x41"',
      '"\\u12"',
      '"open',
      '"open\\"',
      '{} {}',
      '// comment\n{}',
      '\u00a0{}',
      '{"a":1 "b":2}',
      '[}',
    ].map((text) => [text, toUtf8(text)] as const),
  ] as const) {
    t.throws(() => parseJson(bytes, 'MALFORMED_PAYLOAD'), { code: 'MALFORMED_PAYLOAD' }, name)
  }
  t.throws(
    () => parseJson(toUtf8('{'), 'MALFORMED_ENVELOPE'),
    { code: 'MALFORMED_ENVELOPE' },
    'the code is the callers',
  )
  t.end()
})

t.test('duplicate keys', (t) => {
  for (const [name, text] of [
    ['equal', '{"a":1,"a":1}'],
    ['escaped', '{"a":1,"\\u0061":2}'],
    ['escaped slash', '{"/":1,"\\/":2}'],
    ['escaped pair', '{"😀":1,"\\uD83D\\uDE00":2}'],
    ['far apart', '{"a":1,"b":{"c":[]},"a":2}'],
    ['nested', '[{"x":{"a":1,"a":2}}]'],
    ['in an object that a duplicate hides', '{"a":{"b":1,"b":2},"c":3}'],
    ['numeric', '{"1":1,"1":2}'],
    ['empty', '{"":1,"":2}'],
    ['__proto__', '{"__proto__":1,"__proto__":2}'],
    ['colons in strings do not make up for it', '{"a:":":","a:":":::"}'],
  ] as const) {
    t.throws(() => parse(text), { code: 'DUPLICATE_JSON_KEY' }, name)
  }
  for (const text of ['{"a":1,"A":2}', '{"\\u00e9":1,"e\\u0301":2}', '{"a":{"a":1}}', '[{"a":1},{"a":1}]']) {
    t.doesNotThrow(() => parse(text), text)
  }
  t.end()
})

t.test('any member written twice is found, wherever it is', (t) => {
  const { value } = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      fc.jsonValue({ maxDepth: 0 }),
      fc.dictionary(fc.string(), tie('value'), { minKeys: 1, maxKeys: 4 }),
    ),
  }))
  fc.assert(
    fc.property(fc.dictionary(fc.string(), value, { minKeys: 1, maxKeys: 4 }), fc.nat(), (object, choice) => {
      const text = JSON.stringify(object)
      // Doubling a whole member at any object's start keeps it valid JSON.
      const members = [...text.matchAll(/\{(?=("(?:[^"\\]|\\.)*":))/g)].filter(({ index }) => !inString(text, index))
      const { index, 1: name } = members[choice % members.length]!
      const doubled = `${text.slice(0, index + 1)}${name}0,${text.slice(index + 1)}`
      t.throws(() => parse(doubled), { code: 'DUPLICATE_JSON_KEY' })
      t.doesNotThrow(() => parse(text))
    }),
    { numRuns: 200 },
  )
  t.end()
})

function inString(text: string, index: number): boolean {
  let inside = false
  for (let i = 0; i < index; i++) {
    if (inside && text[i] === '\\') i++
    else if (text[i] === '"') inside = !inside
  }
  return inside
}

t.test('prototype keys are data', (t) => {
  const value = parse('{"__proto__":{"admin":true},"constructor":1,"toString":2}') as Record<string, unknown>
  t.same(Object.keys(value), ['__proto__', 'constructor', 'toString'])
  t.equal(value.admin, undefined)
  t.equal(({} as Record<string, unknown>).admin, undefined)
  t.end()
})

t.test('lone surrogates', (t) => {
  for (const text of [
    '"\\ud800"',
    '"\\uDFFF"',
    '"\\udc00\\ud800"',
    '"\\ud83dx"',
    '"\\ud83d\\u0041"',
    '{"\\ud800":1}',
    '[[{"a":["\\uDBFF"]}]]',
    '"\\\\\\ud800"',
  ]) {
    t.throws(() => parse(text), { code: 'MALFORMED_PAYLOAD' }, text)
  }
  t.end()
})

t.test('depth', (t) => {
  const nested = (depth: number) => '['.repeat(depth) + ']'.repeat(depth)
  t.doesNotThrow(() => parse(nested(MAX_JSON_DEPTH)))
  t.throws(() => parse(nested(MAX_JSON_DEPTH + 1)), { code: 'TOO_DEEP' })
  t.throws(() => parse(`${'{"a":'.repeat(65)}1${'}'.repeat(65)}`), { code: 'TOO_DEEP' })
  t.throws(() => parse('['.repeat(4_000_000)), { code: 'TOO_DEEP' }, 'before anything recurses')
  t.doesNotThrow(() => parse(`["${'['.repeat(100)}"]`), 'brackets in text are text')
  t.doesNotThrow(() => parse(`[${'[],'.repeat(100)}[]]`), 'siblings are not depth')
  t.end()
})

t.test('the time grows with the bytes only', (t) => {
  const size = 2_000_000
  for (const [name, text] of [
    ['backslashes', `"${'\\\\'.repeat(size / 2)}"`],
    ['escaped quotes', `"${'\\"'.repeat(size / 2)}"`],
    ['backslashes without end', `"${'\\'.repeat(size)}`],
    ['an open string of quotes', `${'"\\"'.repeat(size / 3)}`],
    ['keys', `{${Array.from({ length: size / 20 }, (_, i) => `"key ${i}":0`).join()}}`],
    ['colons', ':'.repeat(size)],
  ] as const) {
    const start = performance.now()
    try {
      parse(text)
    } catch {}
    const took = performance.now() - start
    t.ok(took < 1500, `${name}: ${took.toFixed()} ms`)
  }
  t.end()
})
