/** The parts that all views are made of. */
import type { ComponentChildren, JSX } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { ApiError } from './api.ts'
import { messageOf, type State, type Step, verdictOf } from './verdict.ts'

const WORDS: Readonly<Record<State, string>> = {
  verified: 'Verified',
  unverified: 'Not verified',
  failed: 'Failed',
  absent: 'Nothing to check',
}

/** A different outline for each state, so that none depends on colour. */
const SHAPES: Readonly<Record<State, JSX.Element>> = {
  verified: (
    <>
      <circle class="fill" cx="8" cy="8" r="7" />
      <path class="line" d="m4.5 8.2 2.4 2.4 4.6-5" />
    </>
  ),
  unverified: (
    <>
      <path class="edge" d="M8 1.5 15 14H1z" />
      <path class="sign" d="M8 6v4m0 1.6v.4" />
    </>
  ),
  failed: (
    <>
      <path class="fill" d="M5 1h6l4 4v6l-4 4H5l-4-4V5z" />
      <path class="line" d="m5.3 5.3 5.4 5.4m0-5.4-5.4 5.4" />
    </>
  ),
  absent: <path class="sign" d="M4 8h8" />,
}

export const Mark = ({ state, label = WORDS[state] }: { state: State; label?: string }): JSX.Element => (
  <svg class={`mark ${state}`} viewBox="0 0 16 16" role="img" aria-label={label}>
    {SHAPES[state]}
  </svg>
)

export const Badge = ({ state, children }: { state: State; children?: ComponentChildren }): JSX.Element => (
  <span class={`badge ${state}`}>
    <svg class={`mark ${state}`} viewBox="0 0 16 16" aria-hidden="true">
      {SHAPES[state]}
    </svg>
    {children ?? WORDS[state]}
  </span>
)

export const Steps = ({ steps }: { steps: readonly Step[] }): JSX.Element => (
  <ol class="steps">
    {steps.map(({ title, state, detail }) => (
      <li key={title} class={state}>
        <Mark state={state} />
        <div>
          <strong>{title}</strong>
          <p>{detail}</p>
        </div>
      </li>
    ))}
  </ol>
)

/** The verdict first, and what stands against it; how it came about is in the steps. */
export const Verdict = ({ steps, what }: { steps: readonly Step[]; what: string }): JSX.Element => {
  const state = verdictOf(steps)
  const against = steps.filter((step) => step.state === state)
  return (
    <div class={`verdict ${state}`} role="status" data-state={state}>
      <Badge state={state}>{`${what}: ${WORDS[state].toLowerCase()}`}</Badge>
      {state === 'verified' ? (
        <p>Every check that is listed was made in this browser, from bytes, and holds.</p>
      ) : (
        <>
          <p>
            {state === 'failed'
              ? 'Do not rely on this. Keep what you have: it may be evidence.'
              : 'What could be checked agrees. Not checked, or not proved:'}
          </p>
          <ul>
            {against.map(({ title, detail }) => (
              <li key={title}>
                <strong>{state === 'failed' ? `“${title}” does not hold:` : `${title}:`}</strong> {detail}
              </li>
            ))}
          </ul>
        </>
      )}
    </div>
  )
}

/** Whole for programs and for copying; the style breaks it where the line ends. */
export const Digest = ({ children }: { children: string }): JSX.Element => <code class="digest">{children}</code>

/** The beginning is enough to tell two apart by eye, never to compare them. */
export const Short = ({ children }: { children: string }): JSX.Element => (
  <code title={children}>{children.length > 14 ? `${children.slice(0, 12)}…` : children}</code>
)

const clock = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeStyle: 'medium', timeZone: 'UTC' })

export const timeText = (ms: number): string => (Math.abs(ms) <= 8.64e15 ? `${clock.format(ms)} UTC` : 'no date')

export const Time = ({ ms }: { ms: number }): JSX.Element => (
  <time dateTime={Math.abs(ms) <= 8.64e15 ? new Date(ms).toISOString() : ''}>{timeText(ms)}</time>
)

export function ageText(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000))
  if (seconds < 90) return `${seconds} s`
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`
  return `${Math.round(seconds / 86_400)} days`
}

export const Problem = ({ error }: { error: unknown }): JSX.Element => (
  <div class="problem" role="alert">
    <Mark state="unverified" label="Problem" />
    <p>
      {error instanceof ApiError && error.status !== 0 ? `${error.code} (${error.status}): ` : ''}
      {messageOf(error)}
    </p>
  </div>
)

export interface Loaded<T> {
  readonly value?: T
  readonly error?: unknown
  readonly pending: boolean
}

/** What `load` gives, again whenever a dependency changes; a later answer is never overwritten by an earlier one, which is told to end. */
export function useLoad<T>(load: (signal: AbortSignal) => Promise<T>, deps: readonly unknown[]): Loaded<T> {
  const [state, setState] = useState<Loaded<T>>({ pending: true })
  useEffect(() => {
    const control = new AbortController()
    const { signal } = control
    setState((before) => ({ ...before, pending: true }))
    load(signal).then(
      (value) => signal.aborted || setState({ value, pending: false }),
      (error: unknown) => signal.aborted || setState({ error, pending: false }),
    )
    return () => control.abort()
  }, deps)
  return state
}

/** The value, or why there is none. */
export function Await<T>({
  loaded,
  what,
  children,
}: {
  loaded: Loaded<T>
  what: string
  children: (value: T) => JSX.Element
}): JSX.Element {
  if (loaded.error !== undefined) return <Problem error={loaded.error} />
  if (loaded.value === undefined)
    return (
      <p class="quiet" role="status">
        Reading {what}…
      </p>
    )
  return children(loaded.value)
}

export function save(name: string, bytes: Uint8Array): void {
  const url = URL.createObjectURL(new Blob([bytes as Uint8Array<ArrayBuffer>]))
  const link = document.createElement('a')
  link.href = url
  link.download = name
  link.click()
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}
