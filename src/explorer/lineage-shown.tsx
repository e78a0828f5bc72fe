/** A lineage that was checked: the verdict, the picture, and the same as lists. */
import type { JSX } from 'preact'
import { type CheckedLineage, eventId } from './lineage-check.ts'
import { LineageGraphDrawing } from './lineage-graph.tsx'
import { typeName } from './lineage-node.tsx'
import { MarkList } from './mark-list.tsx'
import { eventHref, lineageHref } from './route.ts'
import { Badge, Digest, Mark, Time } from './ui.tsx'
import { many, tally } from './verdict.ts'

export function ShownLineage({ checked, ofKey }: { checked: CheckedLineage; ofKey: boolean }): JSX.Element {
  const { lineage, source, hidden } = checked
  if (lineage.events.length === 0)
    return (
      <p role="status">
        {ofKey
          ? `${source === 'scan' ? 'No entry of these logs is' : 'The server knows of no event that is'} signed by this key in that time.`
          : source === 'scan'
            ? 'No entry of these logs leads there.'
            : 'The server knows of no event that leads there.'}
      </p>
    )
  return (
    <>
      <LineageVerdict checked={checked} ofKey={ofKey} />
      {hidden.length > 0 && (
        <div class="problem" role="alert">
          <Mark state="failed" />
          <div>
            <p>The answer contradicts the entries:</p>
            <ul>
              {hidden.map((text) => (
                <li key={text}>{text}</li>
              ))}
            </ul>
          </div>
        </div>
      )}
      <LineageGraphDrawing checked={checked} />
      <EventRows checked={checked} />
      <ArtifactRows checked={checked} />
    </>
  )
}

function LineageVerdict({ checked, ofKey }: { checked: CheckedLineage; ofKey: boolean }): JSX.Element {
  const { lineage, state, source, states } = checked
  const all = [...states.values()].map((one) => one.state)
  const nodes = lineage.artifacts.length + lineage.events.length
  return (
    <div class={`verdict ${state}`} role="status" data-state={state}>
      <Badge state={state} />
      <p>
        {all.every((one) => one === 'verified')
          ? `${states.size === 1 ? 'The one event is' : `All ${states.size} events are`} verified.`
          : `${many(states.size, 'event')}: ${tally(all)}.`}{' '}
        {source === 'scan'
          ? 'Built here from every entry, up to the published heads: no event that shows these artifacts is missing.'
          : 'That the server left out no event is its word.'}
      </p>
      {lineage.truncated && (
        <p>
          <strong>There is more than this.</strong> Listed are the {nodes} events and artifacts that are nearest, at
          most {lineage.depth} steps away. {ofKey ? 'Choose a shorter time' : 'Go on from one of the artifacts below'},
          or use “treeline {ofKey ? 'blast-radius' : 'trace'}”.
        </p>
      )}
    </div>
  )
}

function EventRows({ checked: { lineage, states } }: { checked: CheckedLineage }): JSX.Element {
  return (
    <section aria-labelledby="steps">
      <h2 id="steps">Events</h2>
      <ul class="rows">
        {lineage.events.map((event) => {
          const { state, why } = states.get(eventId(event))!
          return (
            <li key={eventId(event)} data-state={state}>
              <Mark state={state} />
              <a href={eventHref(event.log, event.index)}>
                {event.log} {event.index}
              </a>
              <span>
                {typeName(event.type)} by {event.signers.join(', ')}
              </span>
              <Time ms={event.time} />
              <MarkList marks={event.marks} />
              {state === 'failed' && <span class="why">{why}</span>}
            </li>
          )
        })}
      </ul>
    </section>
  )
}

function ArtifactRows({ checked: { lineage } }: { checked: CheckedLineage }): JSX.Element | null {
  if (lineage.artifacts.length === 0) return null
  return (
    <section aria-labelledby="nodes">
      <h2 id="nodes">Artifacts</h2>
      <ul class="artifacts">
        {lineage.artifacts.map(({ id, names, producers }) => (
          <li key={id}>
            <span class="role">{lineage.start.includes(id) ? 'start' : ''}</span>
            <div>
              {names?.[0] !== undefined && <strong>{names.join(', ')}</strong>}
              <Digest>{id}</Digest>
              {producers > 1 && <strong class="flag">{producers} events say that they produced it</strong>}
              <span class="links">
                <a href={lineageHref(id, 'up')}>where it came from</a>
                <a href={lineageHref(id, 'down')}>what it reached</a>
              </span>
            </div>
          </li>
        ))}
      </ul>
    </section>
  )
}
