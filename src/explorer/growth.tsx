import type { JSX } from 'preact'
import { useEffect, useRef } from 'preact/hooks'
import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { timeText } from './ui.tsx'

const HEIGHT = 180

/** Entries over time, with a line at the size that the slider stands at. A picture of what the page says in words. */
export function Growth({ curve, size }: { curve: readonly (readonly [number, number])[]; size: number }): JSX.Element {
  const place = useRef<HTMLDivElement>(null)
  const plot = useRef<uPlot>()
  const marked = useRef(size)
  marked.current = size
  useEffect(() => {
    const element = place.current!
    const color = (name: string) => getComputedStyle(element).getPropertyValue(name)
    const span = (curve.at(-1)![0] - curve[0]![0]) / 1000
    const make = () => {
      plot.current?.destroy()
      const axis = {
        stroke: () => color('--quiet'),
        grid: { stroke: color('--line'), width: 1 },
        ticks: { show: false },
      }
      const options: uPlot.Options = {
        width: element.clientWidth,
        height: HEIGHT,
        legend: { show: false },
        cursor: { show: false },
        select: { show: false, left: 0, top: 0, width: 0, height: 0 },
        tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), 'UTC'),
        axes: [
          { ...axis, space: 130, values: (_u, splits) => splits.map((seconds) => timeLabel(seconds, span)) },
          { ...axis, size: 60 },
        ],
        series: [{}, { stroke: color('--accent'), width: 2, points: { show: curve.length < 30 } }],
        scales: { y: { range: (_u, _min, max) => [0, Math.max(1, max)] } },
        hooks: { draw: [(u) => drawMark(u, marked.current, color('--text'))] },
      }
      const times = curve.map(([time]) => time / 1000)
      plot.current = new uPlot(options, [times, curve.map(([, count]) => count)], element)
    }
    make()
    const sized = new ResizeObserver(() => plot.current?.setSize({ width: element.clientWidth, height: HEIGHT }))
    sized.observe(element)
    const theme = matchMedia('(prefers-color-scheme: dark)')
    theme.addEventListener('change', make)
    return () => {
      theme.removeEventListener('change', make)
      sized.disconnect()
      plot.current?.destroy()
      plot.current = undefined
    }
  }, [curve])
  useEffect(() => plot.current?.redraw(false), [size])
  const [first, last] = [curve[0]!, curve.at(-1)!]
  const label = `Growth: ${first[1]} entries at ${timeText(first[0])}, ${last[1]} at ${timeText(last[0])}`
  return <div class="growth" ref={place} role="img" aria-label={label} />
}

/** As in the rest of the page: UTC, the day first where there is more than one. */
function timeLabel(seconds: number, span: number): string {
  const iso = new Date(seconds * 1000).toISOString()
  if (span < 86_400) return iso.slice(11, 19)
  return span < 20 * 86_400 ? `${iso.slice(5, 10)} ${iso.slice(11, 16)}` : iso.slice(0, 10)
}

function drawMark(plot: uPlot, size: number, color: string): void {
  const { ctx, bbox } = plot
  const y = Math.round(plot.valToPos(size, 'y', true))
  ctx.save()
  ctx.strokeStyle = color
  ctx.setLineDash([4, 4])
  ctx.beginPath()
  ctx.moveTo(bbox.left, y)
  ctx.lineTo(bbox.left + bbox.width, y)
  ctx.stroke()
  ctx.restore()
}
