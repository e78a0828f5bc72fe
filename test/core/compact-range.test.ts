import t from 'tap'
import { CompactRange } from '../../src/core/compact-range.ts'
import { EMPTY_ROOT, rootHash } from '../../src/core/merkle.ts'
import { entryTree } from './full-tree.ts'

t.test('its root is that of the tree at every size, also when it was put away and taken up again', (t) => {
  const { leaves, read } = entryTree(600)
  let range = CompactRange.empty()
  t.same(range.root(), EMPTY_ROOT)
  const wrong: number[] = []
  leaves.forEach((leaf, i) => {
    const before = range.clone()
    range.append(leaf)
    const size = i + 1
    if (range.size !== size || before.size !== i) wrong.push(size)
    if (Buffer.compare(range.root(), rootHash(size, read)) !== 0) wrong.push(size)
    range = CompactRange.of(range.size, range.hashes)
  })
  t.same(wrong, [])
  t.end()
})

t.test('subtrees that do not make up the size are refused', (t) => {
  const { hashes } = CompactRange.empty()
  t.throws(() => CompactRange.of(1, hashes), RangeError)
  t.throws(() => CompactRange.of(0, [EMPTY_ROOT]), RangeError)
  t.throws(() => CompactRange.of(3, [EMPTY_ROOT]), RangeError)
  t.end()
})
