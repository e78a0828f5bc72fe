/** A straight line through points, by least squares. */
export interface Trend {
  readonly mean: number
  /** A unit of x. */
  readonly slope: number
  /** Standard error of the slope. */
  readonly error: number
}

/**
 * At least three points. Neighbours in time are alike, which makes the error of least squares too small: it is taken as if only every
 * `alike`th point said anything of its own.
 */
export function trendOf(points: readonly (readonly [number, number])[], alike = 6): Trend {
  const n = points.length
  const [meanX, mean] = [0, 1].map((i) => points.reduce((sum, point) => sum + point[i]!, 0) / n) as [number, number]
  const sxx = points.reduce((sum, [x]) => sum + (x - meanX) ** 2, 0)
  const slope = points.reduce((sum, [x, y]) => sum + (x - meanX) * (y - mean), 0) / sxx
  const rest = points.reduce((sum, [x, y]) => sum + (y - mean - slope * (x - meanX)) ** 2, 0)
  return { mean, slope, error: Math.sqrt((rest / Math.max(1, n - 2) / sxx) * alike) }
}
