/** Figures over one axis, as panels of an SVG that reads on light and on dark pages. */

interface Series {
  readonly name: string
  readonly points: readonly (readonly [number, number])[]
}

interface Panel {
  readonly title: string
  readonly unit: string
  readonly series: readonly Series[]
  /** A line to compare with: a goal. */
  readonly goal?: number
}

export interface Chart {
  readonly title: string
  readonly axis: string
  /** Whether the axis that all panels share is logarithmic. */
  readonly logarithmic?: boolean
  readonly panels: readonly Panel[]
}

const WIDTH = 420
const HEIGHT = 190
const LEFT = 62
const RIGHT = 12
const TOP = 34
const BOTTOM = 34
const COLORS = ['#2f81d6', '#d9752b', '#3fa45b', '#a458c9']

const STYLE = `text { font: 11px sans-serif; fill: #555 } .title { font-weight: bold } .grid { stroke: #8886; stroke-width: 1 } .goal { stroke: #c33; stroke-dasharray: 4 3 }
path { fill: none; stroke-width: 1.5 } @media (prefers-color-scheme: dark) { text { fill: #bbb } }`

export function formatChart({ title, axis, logarithmic = false, panels }: Chart): string {
  const columns = 2
  const rows = Math.ceil(panels.length / columns)
  const scale = logarithmic ? Math.log10 : (value: number) => value
  const xs = panels.flatMap(({ series }) => series.flatMap(({ points }) => points.map(([x]) => x)))
  const [low, high] = [Math.min(...xs), Math.max(...xs)]
  const across = (x: number): number =>
    LEFT + ((scale(x) - scale(low)) / (scale(high) - scale(low) || 1)) * (WIDTH - LEFT - RIGHT)
  const ticks = logarithmic
    ? [...new Set(xs)].sort((a, b) => a - b)
    : Array.from({ length: 7 }, (_, i) => low + ((high - low) * i) / 6)

  const drawn = panels.map((panel, i) => {
    const values = panel.series.flatMap(({ points }) => points.map(([, y]) => y))
    const top = niceTop(Math.max(...values, panel.goal ?? 0))
    const up = (y: number): number => HEIGHT - BOTTOM - (y / top) * (HEIGHT - TOP - BOTTOM)
    const lines = [0, 0.25, 0.5, 0.75, 1].map((part) => {
      const y = up(top * part).toFixed(1)
      return `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}"/><text x="${LEFT - 6}" y="${Number(y) + 4}" text-anchor="end">${short(top * part)}</text>`
    })
    const marks = ticks.map(
      (x) => `<text x="${across(x).toFixed(1)}" y="${HEIGHT - BOTTOM + 14}" text-anchor="middle">${short(x)}</text>`,
    )
    const paths = panel.series.map(({ points }, j) => {
      const path = points.map(([x, y]) => `${across(x).toFixed(1)} ${up(y).toFixed(1)}`).join(' L ')
      const dots =
        points.length > 20
          ? ''
          : points
              .map(
                ([x, y]) =>
                  `<circle cx="${across(x).toFixed(1)}" cy="${up(y).toFixed(1)}" r="2.5" fill="${COLORS[j]}"/>`,
              )
              .join('')
      return `<path d="M ${path}" stroke="${COLORS[j]}"/>${dots}`
    })
    const legend =
      panel.series.length < 2
        ? ''
        : panel.series
            .map(({ name }, j) => `<tspan fill="${COLORS[j]}"${j > 0 ? ' dx="8"' : ''}>${inXml(name)}</tspan>`)
            .join('')
    const goal =
      panel.goal === undefined
        ? ''
        : `<line class="goal" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${up(panel.goal).toFixed(1)}" y2="${up(panel.goal).toFixed(1)}"/>`
    return `<g transform="translate(${(i % columns) * WIDTH} ${30 + Math.floor(i / columns) * HEIGHT})">
<text class="title" x="${LEFT}" y="14">${inXml(panel.title)}, ${inXml(panel.unit)}</text><text x="${LEFT}" y="27">${legend}</text>
${lines.join('')}${marks.join('')}${goal}${paths.join('')}
<text x="${WIDTH - RIGHT}" y="${HEIGHT - 6}" text-anchor="end">${inXml(axis)}</text></g>`
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${columns * WIDTH} ${30 + rows * HEIGHT}" width="${columns * WIDTH}" role="img">
<title>${inXml(title)}</title><style>${STYLE}</style>
<text class="title" x="${LEFT}" y="18">${inXml(title)}</text>
${drawn.join('\n')}
</svg>
`
}

/** The least of 1, 2, 2.5, 4, 5, 8 times a power of ten that holds `value`. */
function niceTop(value: number): number {
  if (!(value > 0)) return 1
  const power = 10 ** Math.floor(Math.log10(value))
  return [1, 2, 2.5, 4, 5, 8, 10].map((step) => step * power).find((top) => top >= value)!
}

/** 1500000 is 1.5 M. */
function short(value: number): string {
  for (const [size, name] of [
    [1e6, ' M'],
    [1e3, ' k'],
  ] as const)
    if (Math.abs(value) >= size) return `${Number((value / size).toFixed(1))}${name}`
  return String(Number(value.toFixed(value < 1 ? 3 : 1)))
}

const inXml = (text: string): string => text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`)
