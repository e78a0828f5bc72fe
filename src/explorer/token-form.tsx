import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import type { ApiError } from './api.ts'
import { useSession } from './session.ts'

/** For servers whose reads take a bearer token. It is kept in memory, for as long as the page is open. */
export function TokenForm({ refusal }: { refusal: ApiError }): JSX.Element {
  const session = useSession()
  const [token, setToken] = useState('')
  const submit = (event: Event) => {
    event.preventDefault()
    session.useToken(token.trim())
  }
  return (
    <form class="panel" onSubmit={submit} aria-labelledby="token-title">
      <h2 id="token-title">This server asks who is reading</h2>
      <p>{refusal.message}</p>
      <div class="row">
        <label>
          Token
          <input
            type="password"
            autocomplete="off"
            required
            value={token}
            onInput={(event) => setToken(event.currentTarget.value)}
          />
        </label>
        <button type="submit">Use it</button>
      </div>
      <p class="quiet">It stays in memory until the page is closed, and is sent to this server alone.</p>
    </form>
  )
}
