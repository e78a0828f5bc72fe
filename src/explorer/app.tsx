/** The frame around the views: where one is, where one can go, and what is dropped anywhere on the page. */

import type { JSX } from 'preact'
import { useEffect, useReducer, useRef, useState } from 'preact/hooks'
import { useDrop } from './drop.ts'
import { lineageHref, parseRoute, type Route } from './route.ts'
import { useSession } from './session.ts'
import { TokenForm } from './token-form.tsx'
import { Await, useLoad } from './ui.tsx'
import { CheckView } from './views/check.tsx'
import { EventView } from './views/event.tsx'
import { EventsView } from './views/events.tsx'
import { LineageView } from './views/lineage.tsx'
import { LogsView } from './views/logs.tsx'
import { RawView } from './views/raw.tsx'
import { RawEntryView } from './views/raw-entry.tsx'
import { TimelineView } from './views/timeline.tsx'
import { TrustView } from './views/trust.tsx'

export function App(): JSX.Element {
  const session = useSession()
  const [, redraw] = useReducer((n: number, _: undefined) => n + 1, 0)
  const route = useRoute()
  useEffect(() => session.subscribe(() => redraw(undefined)), [session])
  const dragging = useDrop((files) => {
    session.drop(files)
    location.hash = '#/check'
  })
  const main = useRef<HTMLElement>(null)
  const title = titleOf(route)
  useEffect(() => {
    document.title = `${title} · Treeline`
  }, [title])
  const place = placeOf(route)
  const shown = useRef(place)
  useEffect(() => {
    if (shown.current === place) return
    shown.current = place
    // Whoever does not see the page must hear that it is another one now.
    main.current?.focus({ preventScroll: true })
    scrollTo(0, 0)
  }, [place])
  return (
    <>
      <button type="button" class="skip" onClick={() => main.current?.focus()}>
        Skip to the content
      </button>
      <header>
        <a class="name" href="#/">
          Treeline
        </a>
        <nav aria-label="Views">
          <NavLink href="#/" here={['logs', 'events', 'event', 'timeline'].includes(route.view)}>
            Logs
          </NavLink>
          <NavLink href={lineageHref('')} here={route.view === 'lineage'}>
            Lineage
          </NavLink>
          <NavLink href="#/check" here={route.view === 'check'}>
            Verify a file
          </NavLink>
          <NavLink href="#/trust" here={route.view === 'trust'}>
            Trust
          </NavLink>
        </nav>
      </header>
      <main id="main" ref={main} tabIndex={-1}>
        {session.refused !== undefined && <TokenForm refusal={session.refused} />}
        <View route={route} />
      </main>
      {dragging && <div class="dropping">Drop to verify here. Evidence never leaves this browser.</div>}
      <footer>
        <p>
          What is marked as verified was recomputed here from bytes. The server is not believed. <a href="/docs">API</a>
        </p>
      </footer>
    </>
  )
}

const NavLink = ({ href, here, children }: { href: string; here: boolean; children: string }): JSX.Element => (
  <a href={href} {...(here && { 'aria-current': 'page' as const })}>
    {children}
  </a>
)

function View({ route }: { route: Route }): JSX.Element {
  if (route.view === 'events') {
    const { log, query } = route
    return <OfProfile key={`${log}?${query}`} log={log} events={EventsView} raw={RawView} props={{ log, query }} />
  }
  if (route.view === 'event') {
    const { log, index } = route
    return <OfProfile key={`${log}/${index}`} log={log} events={EventView} raw={RawEntryView} props={{ log, index }} />
  }
  if (route.view === 'timeline') return <TimelineView key={route.log} log={route.log} size={route.size} />
  if (route.view === 'lineage')
    return (
      <LineageView
        key={placeOf(route)}
        {...{ about: route.about, direction: route.direction }}
        {...(route.since !== undefined && { since: route.since })}
        {...(route.until !== undefined && { until: route.until })}
      />
    )
  if (route.view === 'check') return <CheckView />
  if (route.view === 'trust') return <TrustView />
  return <LogsView />
}

/** For the browser's tab and history, and the first thing that is read aloud. */
function titleOf(route: Route): string {
  if (route.view === 'events') return `Entries of ${route.log}`
  if (route.view === 'event') return `Entry ${route.index} of ${route.log}`
  if (route.view === 'timeline') return `Timeline of ${route.log}`
  return { logs: 'Logs', check: 'Verify a file', trust: 'Whom you trust', lineage: 'Lineage' }[route.view]
}

interface Profiles<T> {
  readonly log: string
  readonly events: (props: T) => JSX.Element
  readonly raw: (props: T) => JSX.Element
  readonly props: T
}

/** Which of two views depends on what the log holds. */
function OfProfile<T extends object>({ log, events: Events, raw: Raw, props }: Profiles<T>): JSX.Element {
  const session = useSession()
  const found = useLoad(() => session.log(log), [session.version, log])
  return (
    <Await loaded={found} what="the log">
      {({ profile }) => (profile === 'raw' ? <Raw {...props} /> : <Events {...props} />)}
    </Await>
  )
}

/** Two routes with one place are one page to the reader: moving the slider is not going elsewhere. */
const placeOf = (route: Route): string =>
  route.view === 'timeline'
    ? `timeline ${route.log}`
    : JSON.stringify({ ...route, query: 'query' in route && `${route.query}` })

function useRoute(): Route {
  const [route, setRoute] = useState(() => parseRoute(location.hash))
  useEffect(() => {
    const changed = () => setRoute(parseRoute(location.hash))
    addEventListener('hashchange', changed)
    return () => removeEventListener('hashchange', changed)
  }, [])
  return route
}
