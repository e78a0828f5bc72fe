/** The frame around the views: where one is, where one can go, and what is dropped anywhere on the page. */
import type { JSX } from 'preact'
import { useEffect, useReducer, useRef, useState } from 'preact/hooks'
import { lineageHref, parseRoute, type Route } from './route.ts'
import { type DroppedFile, useSession } from './session.ts'
import { TokenForm } from './token-form.tsx'
import { Await, useLoad } from './ui.tsx'
import { CheckView } from './views/check.tsx'
import { EventView } from './views/event.tsx'
import { EventsView } from './views/events.tsx'
import { LineageView } from './views/lineage.tsx'
import { LogsView } from './views/logs.tsx'
import { RawEntryView, RawView } from './views/raw.tsx'
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

/** Files that are dropped anywhere, with those in folders. */
function useDrop(take: (files: readonly DroppedFile[]) => void): boolean {
  const [dragging, setDragging] = useState(false)
  useEffect(() => {
    const over = (event: DragEvent) => {
      if (!event.dataTransfer?.types.includes('Files')) return
      event.preventDefault()
      setDragging(true)
    }
    const leave = (event: DragEvent) => event.relatedTarget === null && setDragging(false)
    const drop = (event: DragEvent) => {
      event.preventDefault()
      setDragging(false)
      // Before anything is awaited: afterwards the browser has emptied the list.
      const found = [...(event.dataTransfer?.items ?? [])].map((item) => {
        const entry = item.webkitGetAsEntry()
        const file = entry === null ? item.getAsFile() : null
        return entry !== null ? filesOf(entry) : file === null ? [] : [{ name: file.name, file }]
      })
      void Promise.all(found).then((files) => take(files.flat()))
    }
    addEventListener('dragover', over)
    addEventListener('dragleave', leave)
    addEventListener('drop', drop)
    return () => {
      removeEventListener('dragover', over)
      removeEventListener('dragleave', leave)
      removeEventListener('drop', drop)
    }
  }, [])
  return dragging
}

async function filesOf(entry: FileSystemEntry): Promise<DroppedFile[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) => (entry as FileSystemFileEntry).file(resolve, reject))
    return [{ name: entry.fullPath.replace(/^\//, ''), file }]
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const files: DroppedFile[] = []
  // It hands out a hundred at a time, and says that it is done with an empty list.
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) => reader.readEntries(resolve, reject))
    if (some.length === 0) return files
    files.push(...(await Promise.all(some.map(filesOf))).flat())
  }
}
