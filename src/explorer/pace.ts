/** Work that takes seconds, done so that the page stays alive: in pieces, with what comes between shown, and ended when nobody wants it any more. */

/** Lets the browser draw and hear the reader. A timer would wait longer each time than a piece of work takes. */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(undefined)
  })
}

export interface Progress {
  readonly what: string
  readonly done: number
  readonly total: number
}

/** Of something long: what hears of its progress, and what ends it. Ended, it throws what `signal` says. */
export interface Pace {
  readonly signal: AbortSignal
  readonly progress: (now: Progress) => void
}
