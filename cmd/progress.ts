import cliProgress from 'cli-progress'

export interface ProgressBar {
  update(done: number, total: number): void
  stop(): void
}

/** A bar on standard error for long work, where that is a terminal; nothing elsewhere. */
export function progressBar(what: string): ProgressBar {
  const format = `${what} {bar} {value} of {total} {eta_formatted}`
  const bar = new cliProgress.SingleBar({ format, stream: process.stderr, clearOnComplete: true, hideCursor: null })
  return {
    update(done, total) {
      if (!process.stderr.isTTY) return
      if (!bar.isActive) bar.start(total, 0)
      bar.update(done)
    },
    stop: () => bar.stop(),
  }
}
