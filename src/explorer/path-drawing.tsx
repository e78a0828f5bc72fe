/** The inclusion proof as a picture: from the entry at the foot to the root at the top. */
import type { JSX } from 'preact'
import { toHex } from '../core/bytes.ts'
import type { Hash } from '../core/merkle.ts'
import { type PathStep, pathSteps } from './path.ts'

const ROW = 46
const WIDTH = 340
const MIDDLE = WIDTH / 2
const SIDE = 110
/** Below the leaf stands what it is: beside it may stand its sibling. */
const FOOT = 38
const short = (hash: Hash): string => toHex(hash).slice(0, 8)

export function PathDrawing({
  index,
  size,
  leaf,
  proof,
}: {
  index: number
  size: number
  leaf: Hash
  proof: readonly Hash[]
}): JSX.Element {
  const steps = pathSteps(index, size, leaf, proof)
  const height = steps.length * ROW + 58
  return (
    <section aria-labelledby="path">
      <h2 id="path">The way to the root</h2>
      <p class="quiet">
        Each filled node was hashed here from the two below it. The outlined ones came from the server; a wrong one
        would lead to another root.
      </p>
      <figure class="path">
        <svg viewBox={`0 0 ${WIDTH} ${height}`} width={WIDTH} height={height} aria-hidden="true">
          {steps.map((step, i) => (
            <Level key={short(step.result)} step={step} y={height - FOOT - i * ROW} />
          ))}
          <PathNode x={MIDDLE} y={height - FOOT} hash={leaf} below={`entry ${index}`} mine />
          {steps.map((step, i) => (
            <PathNode
              key={short(step.result)}
              x={MIDDLE}
              y={height - FOOT - (i + 1) * ROW}
              hash={step.result}
              label={i === steps.length - 1 ? 'root' : ''}
              mine
            />
          ))}
        </svg>
        <figcaption>
          <details>
            <summary>The same in words, with whole hashes</summary>
            <ol class="hashes">
              <li>
                SHA-256(00 ‖ entry {index}) = <code class="digest">{toHex(leaf)}</code>
              </li>
              {steps.map(({ sibling, side, result }) => (
                <li key={toHex(result)}>
                  with <code class="digest">{toHex(sibling)}</code> on the {side} ={' '}
                  <code class="digest">{toHex(result)}</code>
                </li>
              ))}
            </ol>
            <p>The last one is the root of the signed head of {size} entries.</p>
          </details>
        </figcaption>
      </figure>
    </section>
  )
}

function Level({ step, y }: { step: PathStep; y: number }): JSX.Element {
  const x = step.side === 'left' ? MIDDLE - SIDE : MIDDLE + SIDE
  return (
    <>
      <path
        class="edge"
        d={`M${MIDDLE} ${y}V${y - ROW}M${x} ${y}C${x} ${y - ROW * 0.6} ${MIDDLE} ${y - ROW * 0.4} ${MIDDLE} ${y - ROW}`}
      />
      <PathNode x={x} y={y} hash={step.sibling} />
    </>
  )
}

const PathNode = ({
  x,
  y,
  hash,
  label = '',
  below = '',
  mine,
}: {
  x: number
  y: number
  hash: Hash
  label?: string
  below?: string
  mine?: boolean
}): JSX.Element => (
  <g class={mine ? 'node mine' : 'node'}>
    <rect x={x - 42} y={y - 12} width={84} height={24} rx={4} />
    <text x={x} y={y + 4} text-anchor="middle">
      {short(hash)}
    </text>
    {label !== '' && (
      <text class="label" x={x + 52} y={y + 4}>
        {label}
      </text>
    )}
    {below !== '' && (
      <text class="label" x={x} y={y + 28} text-anchor="middle">
        {below}
      </text>
    )}
  </g>
)
