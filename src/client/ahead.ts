/**
 * Work on many things, in their order, of which at most `width` are under way, or done and waiting, before they are asked for. An error is thrown
 * in its place, after all that comes before it. Whoever stops before the end is not kept waiting for what is under way.
 */
export async function* ahead<T, R>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const waiting = items[Symbol.iterator]()
  const begun: Promise<R>[] = []
  for (;;) {
    while (begun.length < width) {
      const next = waiting.next()
      if (next.done) break
      const one = work(next.value)
      // Thrown below when its turn comes; until then an error has nobody who waits for it.
      one.catch(() => {})
      begun.push(one)
    }
    const first = begun.shift()
    if (first === undefined) return
    yield await first
  }
}
