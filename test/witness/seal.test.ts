import { createHmac } from 'node:crypto'
import t from 'tap'
import { toHex, toUtf8 } from '../../src/core/bytes.ts'
import { sha256 } from '../../src/core/platform.node.ts'
import { DEPTH, deriveLeaf, deriveLeaves, puncture, rootNode } from '../../witness/seal/ggm.ts'
import { open, seal } from '../../witness/seal/seal.ts'

const seed = Uint8Array.from({ length: 32 }, (_, i) => i)

t.test('a leaf is the chain of HMACs along the bits of its index', (t) => {
  for (const index of [0, 1, 5, 2 ** 32 + 3, 2 ** 40 - 1]) {
    let node: Uint8Array = seed
    for (const bit of index.toString(2).padStart(DEPTH, '0')) {
      node = createHmac('sha256', node)
        .update(Uint8Array.of(Number(bit)))
        .digest()
    }
    t.same(Buffer.from(deriveLeaf([rootNode(seed)], index)), node, `${index}`)
  }
  for (const index of [-1, 0.5, 2 ** 40]) t.throws(() => deriveLeaf([rootNode(seed)], index), RangeError)
  t.end()
})

// Computed with Python's hmac and cryptography from docs/formats.md, not by this code.
t.test('the documented bytes', (t) => {
  const payload = toUtf8('an addendum')
  const leaf = deriveLeaf([rootNode(seed)], 7)
  t.equal(toHex(leaf), '5641f081e7abf1190328bfe0b13257e5a29099f6e295663337fd33a4b1252f8d')
  const context = { leaf, origin: 'log.example/a', index: 7, digest: sha256(payload), leafHash: sha256(seed) }
  t.equal(toHex(seal(payload, context)), '653bf64fa8c41aab84a18a6a134ea644f45f772c6d1a11ef5ca806')
  t.end()
})

t.test('a punctured leaf is gone, and every other stays as it was', (t) => {
  let nodes = [rootNode(seed)]
  const gone = [7, 0, 2 ** 40 - 1, 8]
  for (const index of gone) {
    const { removed, added } = puncture(nodes, index)!
    t.ok(added.length <= DEPTH)
    nodes = [...nodes.filter((node) => node !== removed), ...added]
  }
  for (const index of gone) {
    t.throws(() => deriveLeaf(nodes, index), { code: 'REDACTED' })
    t.equal(puncture(nodes, index), undefined)
  }
  for (const index of [1, 6, 9, 300, 2 ** 39]) t.same(deriveLeaf(nodes, index), deriveLeaf([rootNode(seed)], index))
  for (const [from, to] of [
    [0, 300],
    [5, 10],
    [7, 9],
    [255, 257],
    [2 ** 40 - 3, 2 ** 40],
    [2 ** 39 - 2, 2 ** 39 + 2],
  ] as const) {
    const leaves = Array.from({ length: to - from }, (_, i) =>
      gone.includes(from + i) ? undefined : deriveLeaf([rootNode(seed)], from + i),
    )
    t.same(deriveLeaves(nodes, from, to), leaves, `${from} to ${to}, at once`)
  }
  t.throws(() => deriveLeaves(nodes, 0, 2 ** 40 + 1), RangeError)
  t.end()
})

t.test('sealing twice gives the same bytes, and no flipped bit opens', (t) => {
  const payload = toUtf8('an addendum')
  const context = { leaf: seed, origin: 'log.example/a', index: 7, digest: sha256(payload), leafHash: sha256(seed) }
  const sealed = seal(payload, context)
  t.same(seal(payload, context), sealed)
  t.same(open(sealed, context), payload)
  for (let bit = 0; bit < sealed.length * 8; bit++) {
    const flipped = Uint8Array.from(sealed)
    flipped[bit >> 3]! ^= 1 << (bit & 7)
    t.throws(() => open(flipped, context), { code: 'BAD_SIGNATURE' })
  }
  for (const other of [
    { origin: 'log.example/b' },
    { index: 8 },
    { digest: seed },
    { leafHash: seed },
    { leaf: sha256(seed) },
  ]) {
    t.throws(() => open(sealed, { ...context, ...other }), { code: 'BAD_SIGNATURE' }, Object.keys(other)[0]!)
  }
  t.throws(() => open(sealed.subarray(0, 15), context), { code: 'BAD_SIGNATURE' })
  t.end()
})
