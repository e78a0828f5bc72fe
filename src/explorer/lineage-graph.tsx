/** The lineage as a picture that can be zoomed and moved. The table beside it says the same. */

import type { JSX } from 'preact'
import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import type { CheckedLineage } from './lineage-check.ts'
import { layOut, nearest } from './lineage-layout.ts'
import { Edge, Node } from './lineage-node.tsx'

interface Box {
  readonly x: number
  readonly y: number
  readonly width: number
}

const MARGIN = 16
/** Scale of the first view, where the whole would be smaller. */
const SMALLEST = 0.85

const count = ({ artifacts, events }: Pick<CheckedLineage['lineage'], 'artifacts' | 'events'>): number =>
  artifacts.length + events.length

export function LineageGraphDrawing({ checked }: { checked: CheckedLineage }): JSX.Element {
  const drawn = useMemo(() => nearest(checked.lineage), [checked])
  const layout = useMemo(() => layOut(drawn), [drawn])
  const left = count(checked.lineage) - count(drawn)
  const frame = useRef<SVGSVGElement>(null)
  const [size, setSize] = useState({ width: 800, height: 480 })
  /** Letters stay readable: what does not fit at this scale is reached by moving. */
  const fit = (width: number, height: number): Box => {
    const whole = Math.max(layout.width + 2 * MARGIN, ((layout.height + 2 * MARGIN) * width) / height, width)
    const wide = Math.min(whole, width / SMALLEST)
    return { x: (layout.width - wide) / 2, y: -MARGIN, width: wide }
  }
  const [box, setBox] = useState<Box>(() => fit(800, 480))
  useEffect(() => {
    const { clientWidth: width } = frame.current!.parentElement!
    const height = Math.round(
      Math.min(620, Math.max(260, (layout.height + 2 * MARGIN) * Math.max(1, width / (layout.width + 2 * MARGIN)))),
    )
    setSize({ width, height })
    const first = fit(width, height)
    const start = layout.nodes.find(({ node }) => node.kind === 'artifact' && checked.lineage.start.includes(node.id))
    // Where not all fits, what was asked for is in the middle.
    const whole = first.width >= layout.width
    const y = start === undefined ? 0 : start.y - (first.width * height) / width / 2
    const lowest = Math.max(-MARGIN, layout.height + MARGIN - (first.width * height) / width)
    setBox({
      ...first,
      x: whole || start === undefined ? first.x : start.x - first.width / 2,
      y: Math.min(Math.max(-MARGIN, y), lowest),
    })
  }, [layout])
  const zoom = (factor: number) =>
    setBox((b) => {
      const width = Math.min(Math.max(b.width * factor, 240), 100_000)
      const grown = width - b.width
      return { width, x: b.x - grown / 2, y: b.y - (grown * size.height) / size.width / 2 }
    })
  const move = (x: number, y: number) => setBox((b) => ({ ...b, x: b.x + x * b.width, y: b.y + y * b.width }))
  const drag = useDrag(frame, setBox)
  const keys: Readonly<Record<string, () => void>> = {
    '+': () => zoom(0.8),
    '-': () => zoom(1.25),
    ArrowLeft: () => move(-0.1, 0),
    ArrowRight: () => move(0.1, 0),
    ArrowUp: () => move(0, -0.1),
    ArrowDown: () => move(0, 0.1),
  }
  const viewBox = `${box.x} ${box.y} ${box.width} ${(box.width * size.height) / size.width}`
  return (
    <figure class="lineage">
      <div class="tools">
        <button type="button" onClick={() => zoom(0.8)} aria-label="Zoom in">
          +
        </button>
        <button type="button" onClick={() => zoom(1.25)} aria-label="Zoom out">
          −
        </button>
        <button
          type="button"
          onClick={() =>
            setBox(() => {
              const [wide, high] = [layout.width + 2 * MARGIN, layout.height + 2 * MARGIN]
              const width = Math.max(wide, (high * size.width) / size.height, size.width)
              return { width, x: (layout.width - width) / 2, y: -MARGIN }
            })
          }
        >
          Whole graph
        </button>
      </div>
      <svg
        ref={frame}
        role="group"
        aria-label="Lineage graph. Arrow keys move it, plus and minus zoom. The list below says the same."
        tabindex={0}
        width={size.width}
        height={size.height}
        viewBox={viewBox}
        onKeyDown={(event) => {
          const act = event.target === event.currentTarget ? keys[event.key] : undefined
          if (act === undefined) return
          event.preventDefault()
          act()
        }}
        {...drag}
      >
        {layout.edges.map((edge, i) => (
          <Edge key={i} edge={edge} />
        ))}
        {layout.nodes.map((placed) => (
          <Node key={placed.node.id} placed={placed} checked={checked} />
        ))}
      </svg>
      <figcaption class="quiet">
        Time goes down. Boxes are events, rounded ones artifacts; dashed lines lead to events that only examined.
        {left > 0 && ` Drawn are the ${count(drawn)} nearest of ${count(checked.lineage)}: the lists below have all.`}
      </figcaption>
    </figure>
  )
}

function useDrag(
  frame: { readonly current: SVGSVGElement | null },
  setBox: (change: (box: Box) => Box) => void,
): Record<string, unknown> {
  const last = useRef<readonly [number, number]>()
  return {
    onPointerDown: (event: PointerEvent) => {
      if (!(event.target instanceof Element) || event.target.closest('a') !== null) return
      last.current = [event.clientX, event.clientY]
      frame.current?.setPointerCapture(event.pointerId)
    },
    onPointerMove: (event: PointerEvent) => {
      const from = last.current
      if (from === undefined) return
      last.current = [event.clientX, event.clientY]
      const width = frame.current!.clientWidth
      setBox((b) => ({
        ...b,
        x: b.x - ((event.clientX - from[0]) * b.width) / width,
        y: b.y - ((event.clientY - from[1]) * b.width) / width,
      }))
    },
    onPointerUp: () => {
      last.current = undefined
    },
  }
}
