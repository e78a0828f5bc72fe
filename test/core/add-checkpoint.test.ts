import t from 'tap'
import { formatAddCheckpoint, MAX_PROOF_HASHES, parseAddCheckpoint } from '../../src/core/add-checkpoint.ts'
import { fromUtf8, toUtf8 } from '../../src/core/bytes.ts'
import { parseCheckpoint } from '../../src/core/checkpoint.ts'
import { TreelineError } from '../../src/core/errors.ts'
import { parseNote } from '../../src/core/note.ts'
import vectors from '../vectors/c2sp-tlog-witness.json' with { type: 'json' }
import { assertStrict } from './strict.ts'

const bodies = vectors.add_checkpoint_sequence.map(({ request_body }) => toUtf8(request_body))

t.test('TW-1 requests of the vectors are read and written byte for byte', (t) => {
  for (const body of bodies) t.same(formatAddCheckpoint(parseAddCheckpoint(body)), body)
  assertStrict(bodies.slice(0, 6), parseAddCheckpoint, formatAddCheckpoint, 'MALFORMED_ADD_CHECKPOINT')
  t.end()
})

t.test('TW-2 malformed requests of the vectors are refused, by the framing or by what it frames', (t) => {
  for (const { id, request_body, why } of vectors.add_checkpoint_malformed) {
    const read = () => {
      const { old, note } = parseAddCheckpoint(toUtf8(request_body))
      const { size } = parseCheckpoint(parseNote(note).text)
      // What is left is a matter of sizes: TW-7.
      if (old > size) throw new TreelineError('MALFORMED_ADD_CHECKPOINT', 'older than it is')
    }
    t.throws(read, { name: 'TreelineError', code: /^MALFORMED_/ }, `${id} ${why}`)
  }
  t.end()
})

t.test('TW-3 a proof has at most 63 hashes', (t) => {
  const { old, proof, note } = parseAddCheckpoint(bodies.find((body) => fromUtf8(body)!.split('\n')[1] !== '')!)
  const hashes = (count: number) => Array.from({ length: count }, () => proof[0]!)
  const most = formatAddCheckpoint({ old, proof: hashes(MAX_PROOF_HASHES), note })
  t.equal(parseAddCheckpoint(most).proof.length, 63)
  t.throws(() => formatAddCheckpoint({ old, proof: hashes(64), note }), { code: 'MALFORMED_ADD_CHECKPOINT' })
  const [first, ...rest] = fromUtf8(most)!.split('\n')
  const one = toUtf8([first, rest[0], ...rest].join('\n'))
  t.throws(() => parseAddCheckpoint(one), { code: 'MALFORMED_ADD_CHECKPOINT' })
  t.end()
})
