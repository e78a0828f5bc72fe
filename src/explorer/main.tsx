import { render } from 'preact'
import { App } from './app.tsx'
import { Session, SessionContext } from './session.ts'
import './style.css'

/** Where the browser keeps nothing, the page remembers nothing. */
function storage(): Storage | undefined {
  try {
    return localStorage
  } catch {
    return undefined
  }
}

render(
  <SessionContext.Provider value={new Session(storage())}>
    <App />
  </SessionContext.Provider>,
  document.getElementById('app')!,
)
