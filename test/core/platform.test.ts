import fc from 'fast-check'
import t from 'tap'
import * as node from '../../src/core/platform.node.ts'
import * as web from '../../src/core/platform.web.ts'

t.test('both platforms compute the same', (t) => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 300 }), fc.uint8Array({ maxLength: 150 }), (bytes, key) => {
      t.same(new Uint8Array(node.sha256(bytes)), web.sha256(bytes))
      t.same(new Uint8Array(node.hmacSha256(key, bytes)), web.hmacSha256(key, bytes))
      t.equal(node.encodeBase64(bytes), web.encodeBase64(bytes))
    }),
    { numRuns: 50 },
  )
  t.end()
})
