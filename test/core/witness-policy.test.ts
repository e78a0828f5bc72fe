import * as ed from '@noble/ed25519'
import { ml_dsa44 } from '@noble/post-quantum/ml-dsa.js'
import t from 'tap'
import { sha256 } from '#platform'
import { concat, fromHex, toHex, toUtf8 } from '../../src/core/bytes.ts'
import { cosignatureSigner } from '../../src/core/cosignature.ts'
import { ed25519NoteSigner } from '../../src/core/ed25519.ts'
import { TreelineError } from '../../src/core/errors.ts'
import {
  COSIGNATURE_ED25519,
  COSIGNATURE_ML_DSA_44,
  ED25519,
  formatNote,
  type NoteSigner,
  signLine,
  signNote,
  verifierKey,
} from '../../src/core/note.ts'
import { formatVkey } from '../../src/core/vkey.ts'
import { parseWitnessPolicy, verifyCheckpoint, withoutQuorum } from '../../src/core/witness-policy.ts'
import cosigned from '../vectors/c2sp-cosigned-checkpoint.json' with { type: 'json' }
import keys from '../vectors/c2sp-keys.json' with { type: 'json' }
import vectors from '../vectors/c2sp-tlog-policy.json' with { type: 'json' }

const parse = (text: string) => parseWitnessPolicy(toUtf8(text))
const malformed = { code: 'MALFORMED_WITNESS_POLICY' }
const unverified = { code: 'UNVERIFIED_NOTE' }

const seedOf = (name: string): Uint8Array => sha256(toUtf8(name))
const logNamed = (name: string, seed = name): NoteSigner =>
  ed25519NoteSigner(name, ed.getPublicKey(seedOf(seed)), (message) => ed.sign(message, seedOf(seed)))
const witnessNamed = (name: string, time = 1n): NoteSigner => {
  const key = verifierKey(name, COSIGNATURE_ED25519, ed.getPublicKey(seedOf(name)))
  return cosignatureSigner(
    key,
    (message) => ed.sign(message, seedOf(name)),
    () => time,
  )
}
const mlDsaNamed = (name: string, time: bigint): NoteSigner => {
  const { publicKey, secretKey } = ml_dsa44.keygen(seedOf(name))
  const key = verifierKey(name, COSIGNATURE_ML_DSA_44, publicKey)
  return cosignatureSigner(
    key,
    (message) => ml_dsa44.sign(message, secretKey),
    () => time,
  )
}

const LOG = logNamed('log.example')
const BODY = 'log.example\n5\nfKo0Xb2JKmZFTWxlEuo8PqPw0+whvj/C4jdXBf049nI=\n'
const LOG_LINE = `log ${formatVkey(LOG.key)}\n`
const witnessLine = (name: string, witness: NoteSigner): string => `witness ${name} ${formatVkey(witness.key)}\n`
const note = (signers: readonly NoteSigner[], body = BODY): Uint8Array => toUtf8(signNote(body, signers))
const code = (run: () => unknown): string => {
  try {
    run()
    return 'accepted'
  } catch (error) {
    if (error instanceof TreelineError) return error.code
    throw error
  }
}

t.test('policies of the vectors are accepted and refused as they say', (t) => {
  for (const { policy, why } of vectors.valid) t.doesNotThrow(() => parse(policy), why)
  for (const { policy, why } of vectors.invalid) t.throws(() => parse(policy), malformed, why)
  const { logs, witnesses, quorum } = parse(vectors.example.policy)
  t.same(
    logs.map(({ key, url }) => [formatVkey(key), url]),
    [[vectors.example.policy.split(/[ \n]/)[1], 'https://log.example/mltrail']],
  )
  t.same(Object.fromEntries(witnesses.map(({ name, key }) => [name, formatVkey(key)])), vectors.example.witness_vkeys)
  t.equal(witnesses[0]?.url, undefined)
  t.equal(witnesses[3]?.url, 'https://y1.example/')
  t.match(quorum, { threshold: 2, members: [{ threshold: 2 }, { threshold: 1 }] })
  t.end()
})

t.test('PO-7 a checkpoint is valid when a listed log signed it and the quorum cosigned it', (t) => {
  // The example's own keys are lost, so each witness gets one of ours.
  const witnesses = Object.fromEntries(
    Object.keys(vectors.example.witness_vkeys).map((name) => [name, witnessNamed(`${name}.example`)]),
  )
  let text = vectors.example.policy.replace(/^log \S+/, LOG_LINE.trim())
  for (const [name, vkey] of Object.entries(vectors.example.witness_vkeys)) {
    text = text.replace(vkey, formatVkey(witnesses[name]!.key))
  }
  const policy = parse(text)
  for (const [names, valid] of vectors.example.truth_table as [string[], boolean][]) {
    const signers = names.map((name) => witnesses[name]!)
    const expected = valid ? 'accepted' : 'UNVERIFIED_NOTE'
    t.equal(
      code(() => verifyCheckpoint(note([LOG, ...signers]), policy)),
      expected,
      names.join(' '),
    )
    if (valid)
      t.equal(
        code(() => verifyCheckpoint(note(signers), policy)),
        'UNVERIFIED_NOTE',
        'without the log',
      )
  }
  t.equal(
    code(() => verifyCheckpoint(note([LOG]), withoutQuorum(policy))),
    'accepted',
    'of a log ahead of its witnesses',
  )
  t.throws(() => verifyCheckpoint(note([LOG]), parse('quorum none\n')), unverified, 'no log is listed')
  t.equal(
    code(() => verifyCheckpoint(note([LOG]), parse(`${LOG_LINE}quorum none\n`))),
    'accepted',
  )
  t.end()
})

t.test('PO-7 the verified checkpoint comes with its cosigners and their times', (t) => {
  const witnesses = [witnessNamed('w1', 100n), mlDsaNamed('w2', 200n), mlDsaNamed('w3', 0n), witnessNamed('w4')]
  const lines = witnesses.slice(0, 3).map((witness, i) => witnessLine(`W${i + 1}`, witness))
  const policy = parse(`${LOG_LINE}${lines.join('')}group G 2 W1 W2 W3\nquorum G\n`)
  const { checkpoint, note: signed, cosigners } = verifyCheckpoint(note([...witnesses, LOG].reverse()), policy)
  t.equal(checkpoint.origin, 'log.example')
  t.equal(checkpoint.size, 5n)
  t.equal(signed.text, BODY)
  t.same(
    cosigners.map(({ witness, timestamp }) => [witness.name, timestamp]),
    [
      ['W3', 0n],
      ['W2', 200n],
      ['W1', 100n],
    ],
    'in the order of the note, without the one that is not listed',
  )
  const real = parse(
    [
      `log ${cosigned.log_vkey}`,
      ...cosigned.witness_vkeys.map((vkey, i) => `witness W${i} ${vkey}`),
      'group all3 all W0 W1 W2',
      'quorum all3',
      '',
    ].join('\n'),
  )
  t.equal(verifyCheckpoint(toUtf8(cosigned.checkpoint), real).cosigners.length, 3)
  t.end()
})

t.test('PO-6 the key name of the log is the origin of the checkpoint', (t) => {
  const other = logNamed('other.example')
  const policy = parse(`${LOG_LINE}log ${formatVkey(other.key)}\nquorum none\n`)
  t.equal(verifyCheckpoint(note([other], BODY.replace('log', 'other')), policy).checkpoint.origin, 'other.example')
  t.throws(() => verifyCheckpoint(note([other]), policy), unverified, 'another listed log under this origin')
  t.throws(() => verifyCheckpoint(note([LOG], BODY.replace('log', 'other')), policy), unverified)
  t.equal(
    code(() => verifyCheckpoint(note([other, LOG]), policy)),
    'accepted',
    'beside the right one it does no harm',
  )
  t.end()
})

t.test('TC-10 unknown signatures are ignored', (t) => {
  const policy = parse(`${LOG_LINE}quorum none\n`)
  const nextKey = logNamed('log.example', 'log.example, next key')
  t.equal(
    code(() => verifyCheckpoint(note([nextKey, witnessNamed('w'), LOG]), policy)),
    'accepted',
  )
  t.throws(() => verifyCheckpoint(note([nextKey, witnessNamed('w')]), policy), unverified)
  t.end()
})

t.test('SN-8 a failing line of a listed log or witness sinks the checkpoint', (t) => {
  const [w1, w2] = [witnessNamed('w1'), witnessNamed('w2')]
  const policy = parse(`${LOG_LINE}${witnessLine('W1', w1)}${witnessLine('W2', w2)}group G any W1 W2\nquorum G\n`)
  const otherBody = BODY.replace('5', '6')
  const lines = (good: readonly NoteSigner[], bad: readonly NoteSigner[]) =>
    toUtf8(
      formatNote({
        text: BODY,
        signatures: [...good.map((one) => signLine(BODY, one)), ...bad.map((one) => signLine(otherBody, one))],
      }),
    )
  t.equal(
    code(() => verifyCheckpoint(lines([LOG, w1, w2], []), policy)),
    'accepted',
  )
  t.equal(
    code(() => verifyCheckpoint(lines([LOG, w1], []), policy)),
    'accepted',
  )
  t.throws(() => verifyCheckpoint(lines([w1, w2], [LOG]), policy), unverified)
  t.throws(() => verifyCheckpoint(lines([LOG, w1], [w2]), policy), unverified, 'even where the others are a quorum')
  t.equal(
    code(() => verifyCheckpoint(lines([LOG, w1], [witnessNamed('w3')]), policy)),
    'accepted',
    'nobody we know',
  )
  t.end()
})

t.test('a note that is malformed or no checkpoint is refused as such', (t) => {
  const policy = parse(`${LOG_LINE}quorum none\n`)
  t.throws(() => verifyCheckpoint(toUtf8(BODY), policy), { code: 'MALFORMED_NOTE' })
  t.throws(() => verifyCheckpoint(note([LOG], 'log.example\n'), policy), { code: 'MALFORMED_CHECKPOINT' })
  t.end()
})

t.test('PO-1 only tab, newline and octets that are no control characters make a policy', (t) => {
  for (let octet = 0; octet < 256; octet++) {
    const bytes = concat(toUtf8('# '), Uint8Array.of(octet), toUtf8('\nquorum none\n'))
    const allowed = octet === 9 || octet === 10 || (octet >= 0x20 && octet !== 0x7f)
    t.equal(
      code(() => parseWitnessPolicy(bytes)),
      allowed ? 'accepted' : malformed.code,
      `octet ${octet}`,
    )
  }
  for (const [why, text] of [
    ['white space around', ' \t quorum \t none \t \n'],
    ['blank and comment lines', '\n \t\n#\n  # quorum none\nquorum none\n\n'],
  ] as const) {
    t.equal(
      code(() => parse(text)),
      'accepted',
      why,
    )
  }
  for (const [why, text] of [
    ['no final newline', 'quorum none'],
    ['a comment after a statement', 'quorum none # nobody\n'],
    ['a field too few', 'quorum\n'],
    ['a log without a key', 'log\nquorum none\n'],
    ['a witness without a key', 'witness W\nquorum none\n'],
    ['a group without a threshold', 'group G\nquorum none\n'],
    ['a no-break space', 'quorum\u00a0none\n'],
  ] as const) {
    t.throws(() => parse(text), malformed, why)
  }
  t.end()
})

t.test('PO-1 names compare as octets, in whatever encoding', (t) => {
  const w1 = formatVkey(witnessNamed('wítness.example').key)
  const w2 = formatVkey(witnessNamed('w2').key)
  // U+212A is the Kelvin sign, which many comparisons take for K.
  const kelvin = parse(`witness K ${w1}\nwitness \u212a ${w2}\nquorum \u212a\n`)
  t.equal(kelvin.quorum, kelvin.witnesses[1])
  t.equal(kelvin.witnesses[1]?.name, '\u212a')
  t.equal(kelvin.witnesses[0]?.key.name, 'wítness.example')
  const latin1 = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0))
  const mixed = concat(
    toUtf8(`witness é ${w1} https://é.example/\nwitness `),
    latin1('\u00e9'),
    toUtf8(` ${w2}\nquorum `),
    latin1('\u00e9\n'),
  )
  const { witnesses, quorum } = parseWitnessPolicy(mixed)
  t.equal(quorum, witnesses[1], 'é of one octet is not é of two')
  t.equal(witnesses[0]?.url, 'https://é.example/')
  t.end()
})

t.test('PO-2 there is one quorum line, and names are defined above their use', (t) => {
  const w = witnessLine('W', witnessNamed('w'))
  for (const text of [
    w,
    `quorum W\n${w}`,
    `${w}quorum W\nquorum W\n`,
    `${w}quorum X\n`,
    `group G any W\n${w}quorum G\n`,
  ]) {
    t.throws(() => parse(text), malformed, text.slice(0, 20))
  }
  const { witnesses, quorum } = parse(`${w}quorum W\n${LOG_LINE}`)
  t.equal(quorum, witnesses[0], 'and other lines may follow it')
  t.end()
})

t.test('PO-3 no key of a role and no name stands twice', (t) => {
  const [w1, w2] = [witnessNamed('w1'), witnessNamed('w2')]
  const renamed = formatVkey(verifierKey('renamed', COSIGNATURE_ED25519, w1.key.publicKey))
  const asLog = formatVkey(verifierKey('w1', ED25519, w1.key.publicKey))
  for (const [why, text] of [
    ['a log twice', `${LOG_LINE}${LOG_LINE}quorum none\n`],
    ['a log under another name', `${LOG_LINE}log ${formatVkey(logNamed('b', 'log.example').key)}\nquorum none\n`],
    ['a witness twice', `${witnessLine('A', w1)}${witnessLine('B', w1)}quorum A\n`],
    ['a witness under another name', `${witnessLine('A', w1)}witness B ${renamed}\nquorum A\n`],
    ['a name twice', `${witnessLine('A', w1)}${witnessLine('A', w2)}quorum A\n`],
    ['a group named like a witness', `${witnessLine('A', w1)}group A any A\nquorum A\n`],
  ] as const) {
    t.throws(() => parse(text), malformed, why)
  }
  t.equal(
    code(() => parse(`log ${asLog}\n${witnessLine('A', w1)}quorum A\n`)),
    'accepted',
    'in two roles it may',
  )
  // One ML-DSA line then speaks for both.
  const both = mlDsaNamed('both.example', 7n)
  const policy = parse(`log ${formatVkey(both.key)}\n${witnessLine('A', both)}quorum A\n`)
  t.equal(verifyCheckpoint(note([both], BODY.replace('log', 'both')), policy).cosigners[0]?.timestamp, 7n)
  t.end()
})

t.test('PO-4 a threshold is 1 to the number of members, and each name joins one group once', (t) => {
  const w = ['A', 'B', 'C'].map((name) => witnessLine(name, witnessNamed(name))).join('')
  for (const group of [
    'G 0 A',
    'G 2 A',
    'G 4 A B C',
    'G 01 A',
    'G +1 A',
    'G -1 A',
    'G 1.0 A',
    'G 0x1 A',
    'G ANY A',
    'G all',
    'G A B',
    'G any A A',
    'G any G',
  ]) {
    t.throws(() => parse(`${w}group ${group}\nquorum none\n`), malformed, group)
  }
  t.throws(() => parse(`${w}group G any A B\ngroup H any B C\nquorum H\n`), malformed, 'in two groups')
  t.match(parse(`${w}group G 2 A B C\nquorum G\n`).quorum, { threshold: 2 })
  t.match(parse(`${w}group G any A B C\nquorum G\n`).quorum, { threshold: 1 })
  t.match(parse(`${w}group G all A B C\nquorum G\n`).quorum, { threshold: 3 })
  t.equal(
    code(() => parse(`${w}group G any A B\ngroup H all G C\nquorum A\n`)),
    'accepted',
    'a member may be the quorum',
  )
  t.end()
})

t.test('PO-5 none is a quorum and nothing else', (t) => {
  const w = formatVkey(witnessNamed('w').key)
  for (const text of [
    `witness none ${w}\nquorum none\n`,
    `witness W ${w}\ngroup none any W\nquorum none\n`,
    `witness W ${w}\ngroup G any W none\nquorum G\n`,
  ]) {
    t.throws(() => parse(text), malformed, text.slice(0, 12))
  }
  t.match(parse('quorum none\n').quorum, { threshold: 0, members: [] })
  t.end()
})

t.test('PO-8 hundreds of logs, witnesses and groups are read, deep groups too, but not without end', (t) => {
  const publicKey = (i: number) => ed.Point.BASE.multiply(BigInt(i + 2)).toBytes()
  const lines: string[] = []
  for (let i = 0; i < 300; i++) {
    lines.push(`log ${formatVkey(verifierKey(`l${i}`, ED25519, publicKey(i)))}`)
    lines.push(`witness W${i} ${formatVkey(verifierKey(`w${i}`, COSIGNATURE_ED25519, publicKey(i)))}`)
    lines.push(i === 0 ? 'group G0 any W0' : `group G${i} all G${i - 1} W${i}`)
  }
  const policy = parse(`${lines.join('\n')}\nquorum G299\n`)
  t.equal(policy.logs.length, 300)
  t.throws(() => verifyCheckpoint(note([LOG]), { ...policy, logs: [{ key: LOG.key }] }), unverified)
  const one = `witness W ${formatVkey(witnessNamed('w').key)}\ngroup G0 any W\n`
  const deep = Array.from({ length: 2000 }, (_, i) => `group G${i + 1} any G${i}\n`).join('')
  t.throws(() => parse(`${one}${deep}quorum G2000\n`), malformed)
  t.throws(() => parse(`#${' '.repeat(4_000_000)}\nquorum none\n`), malformed)
  t.end()
})

t.test('PO-9 a key id is recomputed, and the type of a key suits its role', (t) => {
  const raw = keys.keys.w1.public_key_hex
  const vkey = (type: number) => formatVkey(verifierKey('a.example', type, fromHex(raw)!))
  const { log, w1, w3 } = keys.keys
  for (const text of [
    `log ${vkey(COSIGNATURE_ED25519)}`,
    `witness A ${vkey(ED25519)}`,
    `witness A ${vkey(2)}`,
    `log ${log.vkey.replace(log.key_id_hex, '00000000')}`,
    `witness A ${w1.vkey.replace(w1.key_id_hex, '00000000')}`,
    `log ${toHex(fromHex(raw)!)}`,
  ]) {
    t.throws(() => parse(`${text}\nquorum none\n`), malformed, text.slice(0, 40))
  }
  for (const text of [`log ${log.vkey}`, `log ${w3.vkey}`, `witness A ${w1.vkey}`, `witness A ${w3.vkey}`]) {
    t.equal(
      code(() => parse(`${text}\nquorum none\n`)),
      'accepted',
      text.slice(0, 40),
    )
  }
  t.end()
})
