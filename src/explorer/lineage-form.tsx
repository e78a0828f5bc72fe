/** Asks for an artifact by digest or by file, or for a key and a time. */
import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { Direction } from '../core/lineage.ts'
import { digestFile } from './digest-file.ts'
import { aboutOf, keyOf, momentOf } from './lineage-question.ts'
import { lineageHref } from './route.ts'
import { Badge } from './ui.tsx'

const DIRECTIONS: readonly (readonly [Direction, string])[] = [
  ['up', 'Where it came from'],
  ['down', 'What it reached'],
  ['both', 'Both'],
]

interface Asked {
  readonly about: string
  readonly direction: Direction
  readonly since: string
  readonly until: string
}

export function LineageForm({ about, direction, since, until }: Asked): JSX.Element {
  const [text, setText] = useState(about)
  const [times, setTimes] = useState({ since, until })
  const [problem, setProblem] = useState('')
  const ofKey = text.trim().startsWith('key:')
  const go = (id: string | undefined) => {
    if (id === undefined)
      return setProblem('Name an artifact by its digest, as sha256: and 64 hex digits, or a key by key: and its id.')
    if (keyOf(id) === undefined) {
      setProblem('')
      location.hash = lineageHref(id, direction)
      return
    }
    if ([times.since, times.until].some((time) => Number.isNaN(momentOf(time))))
      return setProblem('A time is written as 2026-01-31T00:00:00Z.')
    setProblem('')
    // What a key reached is what a leak is about; where its inputs came from is seldom asked.
    location.hash = lineageHref(id, about === id ? direction : 'down', times)
  }
  const set = (name: 'since' | 'until') => (event: { currentTarget: HTMLInputElement }) => {
    const { value } = event.currentTarget
    setTimes((before) => ({ ...before, [name]: value }))
  }
  return (
    <form
      class="panel"
      onSubmit={(event) => {
        event.preventDefault()
        go(aboutOf(text))
      }}
    >
      <label>
        Digest of an artifact, or key: and the id of a key
        <input
          value={text}
          spellcheck={false}
          autocomplete="off"
          aria-describedby="digest-problem"
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </label>
      {ofKey && (
        <div class="row times">
          <label>
            Signed since
            <input name="since" value={times.since} placeholder="the beginning" onInput={set('since')} />
          </label>
          <label>
            Signed before
            <input name="until" value={times.until} placeholder="now" onInput={set('until')} />
          </label>
        </div>
      )}
      <p id="digest-problem" role="status">
        {problem !== '' && <Badge state="failed">{problem}</Badge>}
      </p>
      <div class="row">
        <button type="submit">Show</button>
        <label class="button">
          Choose a file
          <input
            type="file"
            onChange={async ({ currentTarget }) => {
              const [file] = currentTarget.files ?? []
              if (file !== undefined) go(`sha256:${await digestFile(file, () => {})}`)
            }}
          />
        </label>
        {about !== '' &&
          DIRECTIONS.map(([value, label]) => (
            <a
              key={value}
              href={lineageHref(about, value, keyOf(about) === undefined ? {} : times)}
              {...(value === direction && { 'aria-current': 'true' as const })}
            >
              {label}
            </a>
          ))}
      </div>
    </form>
  )
}
