/** The form that asks a log for some of its events. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { logHref } from './route.ts'

export const FILTERS = ['type', 'artifact', 'signer', 'role', 'text', 'since', 'until'] as const

export const isFiltered = (query: URLSearchParams): boolean => FILTERS.some((name) => query.has(name))

const LABELS: Readonly<Record<(typeof FILTERS)[number], readonly [label: string, hint: string]>> = {
  type: ['Type', 'exact, or a beginning with *'],
  artifact: ['Artifact', 'sha256:… or hex'],
  signer: ['Signer', 'id of its key'],
  role: ['Role', 'produced, consumed, examined'],
  text: ['Text in payloads', 'words'],
  since: ['Since', '2026-01-31T00:00:00Z'],
  until: ['Until', '2026-02-01T00:00:00Z'],
}

export function EventsSearch({ log, query }: { log: string; query: URLSearchParams }): JSX.Element {
  const [values, setValues] = useState<Readonly<Record<string, string>>>(() =>
    Object.fromEntries(FILTERS.map((name) => [name, query.get(name) ?? ''])),
  )
  const set =
    (name: string) =>
    ({ currentTarget: { value } }: { currentTarget: HTMLInputElement | HTMLSelectElement }) =>
      setValues((before) => ({ ...before, [name]: value }))
  return (
    <details open={isFiltered(query)} class="search">
      <summary>Search</summary>
      <search>
        <form
          onSubmit={(event) => {
            event.preventDefault()
            location.hash = logHref(log, Object.fromEntries(FILTERS.map((name) => [name, values[name]!.trim()])))
          }}
        >
          {FILTERS.map((name) => (
            <label key={name} for={`by-${name}`}>
              {LABELS[name][0]}
              {name === 'role' ? (
                <select id={`by-${name}`} name={name} value={values[name]} onChange={set(name)}>
                  <option value="">any</option>
                  <option>produced</option>
                  <option>consumed</option>
                  <option>examined</option>
                </select>
              ) : (
                <input
                  id={`by-${name}`}
                  name={name}
                  value={values[name]}
                  placeholder={LABELS[name][1]}
                  autocomplete="off"
                  spellcheck={false}
                  onInput={set(name)}
                />
              )}
            </label>
          ))}
          <div class="row">
            <button type="submit">Search</button>
            {isFiltered(query) && <a href={logHref(log)}>All events</a>}
          </div>
        </form>
      </search>
    </details>
  )
}
