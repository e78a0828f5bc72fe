/** The decision by itself: every bit of a request counts, and a signature is judged as the core judges it. */
import t from 'tap'
import { concat, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { ed25519NoteVerifier } from '../../src/core/ed25519.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { parseNote } from '../../src/core/note.ts'
import { parseVkey } from '../../src/core/vkey.ts'
import { follow, type Head, MAX_BODY_SIZE, readSubmission, statusOf } from '../../witness/decide.ts'
import { logVerifier } from '../../witness/native-verify.ts'
import { TwoFacedLog } from './two-faced-log.ts'

const log = new TwoFacedLog('log.example/decide')
for (let i = 0; i < 13; i++) log.append(`entry ${i}`)
const key = parseVkey(log.vkey)
const verifiers = [logVerifier(key)]
const keysOf = (origin: string) => (origin === log.origin ? verifiers : undefined)

function headAt(size: number): Head {
  const note = log.note(size)
  return { ...parseCheckpoint(parseNote(toUtf8(note)).text), note }
}

function decide(body: Uint8Array, stored: Head | undefined): number {
  try {
    follow(readSubmission(body, keysOf), stored)
    return 200
  } catch (error) {
    if (!(error instanceof TreelineError)) throw error
    return statusOf(error.code)
  }
}

t.test('a request with any bit flipped is refused', (t) => {
  const body = log.request(5)
  const stored = headAt(5)
  t.equal(decide(body, stored), 200)
  const seen = new Set<number>()
  for (let bit = 0; bit < body.length * 8; bit++) {
    const flipped = body.with(bit >> 3, body[bit >> 3]! ^ (1 << (bit & 7)))
    const status = decide(flipped, stored)
    seen.add(status)
    if (status === 200) t.fail(`bit ${bit} does not count`)
  }
  t.same([...seen].sort(), [400, 403, 404, 409, 422])
  t.end()
})

t.test('every growth between small sizes is accepted from the stored size, and from no other', (t) => {
  for (let from = 0; from <= log.size; from++) {
    for (let to = from; to <= log.size; to++) {
      const body = log.request(from, to)
      for (let at = 0; at <= log.size; at++) {
        const status = decide(body, at === 0 ? undefined : headAt(at))
        if (status !== (at === from ? 200 : 409)) t.fail(`${from} to ${to} at ${at}: ${status}`)
      }
    }
  }
  t.pass('all of them')
  t.end()
})

t.test('what is signed is what was parsed, and only verified lines are kept', (t) => {
  const forged = `— witness.example/w ${Buffer.alloc(76, 1).toString('base64')}\n`
  const submission = readSubmission(concat(log.request(0), toUtf8(forged)), keysOf)
  t.equal(submission.text, parseNote(toUtf8(log.note())).text)
  t.same(
    submission.signatures.map(({ name }) => name),
    [log.origin],
  )
  t.throws(() => readSubmission(new Uint8Array(MAX_BODY_SIZE + 1), keysOf), { code: 'BODY_TOO_LARGE' })
  t.end()
})

t.test("OpenSSL accepts the signatures that the core's verifier accepts", (t) => {
  const { text, signatures } = parseNote(toUtf8(log.note()))
  const signature = signatures[0]!.signature
  const core = ed25519NoteVerifier(key)
  const [native] = verifiers as [typeof core]
  const order = 2n ** 252n + 27742317777372353535851937790883648493n
  const s = BigInt(`0x${toHex(signature.slice(32).reverse())}`)
  const little = (value: bigint) => Buffer.from(value.toString(16).padStart(64, '0'), 'hex').reverse()
  const cases: [string, Uint8Array, boolean][] = [
    ['as signed', signature, true],
    ['S + L', concat(signature.slice(0, 32), little(s + order)), false],
    ['R of small order', concat(little(1n), signature.slice(32)), false],
    ['S = 0', concat(signature.slice(0, 32), little(0n)), false],
    ['short', signature.slice(0, 63), false],
    ['long', concat(signature, Uint8Array.of(0)), false],
    ['empty', new Uint8Array(0), false],
  ]
  for (const [name, bytes, expected] of cases) {
    t.equal(core.verify(text, bytes), expected, name)
    t.equal(native.verify(text, bytes), expected, `${name}, native`)
  }
  t.notOk(native.verify(`${text}more\n`, signature))
  t.end()
})
