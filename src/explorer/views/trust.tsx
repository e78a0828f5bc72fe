import type { JSX } from 'preact'
import { useState } from 'preact/hooks'
import { useSession } from '../session.ts'
import { Badge, Digest } from '../ui.tsx'
import { messageOf } from '../verdict.ts'

const EXAMPLE = `log log.example/models+5c1b…+AR… https://log.example/models
witness w witness.example/w+77a0…+BA…
quorum w
`

/** Everything that is verified on this page is verified against this, and nothing else. */
export function TrustView(): JSX.Element {
  const session = useSession()
  const { trust } = session
  const [text, setText] = useState(trust.text)
  const [problem, setProblem] = useState('')
  const use = (next: string) => {
    try {
      trust.useFile(next)
      setText(trust.text)
      setProblem('')
    } catch (error) {
      setProblem(messageOf(error))
    }
  }
  const pins = Object.entries(trust.pins)
  return (
    <>
      <h1>Whom you trust</h1>
      <p>
        A trust file (C2SP tlog-policy) names the keys of logs and witnesses, and how many witnesses must have cosigned.
        Get it from somebody other than this server. It is kept in this browser and sent nowhere.
      </p>
      <form
        class="panel"
        onSubmit={(event) => {
          event.preventDefault()
          use(text)
        }}
      >
        <label>
          Trust file
          <textarea
            rows={8}
            spellcheck={false}
            placeholder={EXAMPLE}
            value={text}
            aria-describedby="trust-problem"
            onInput={(event) => setText(event.currentTarget.value)}
          />
        </label>
        <p id="trust-problem" role="status">
          {problem !== '' && <Badge state="failed">{problem}</Badge>}
        </p>
        <div class="row">
          <button type="submit">Use this file</button>
          <label class="button">
            Open a file
            <input
              type="file"
              onChange={async ({ currentTarget }) => {
                const [file] = currentTarget.files ?? []
                if (file !== undefined) use(await file.text())
              }}
            />
          </label>
          <button type="button" onClick={() => use('')} disabled={trust.text === ''}>
            Trust nobody
          </button>
        </div>
      </form>
      {trust.file !== undefined && (
        <section aria-labelledby="used">
          <h2 id="used">In use</h2>
          <ul class="plain">
            {trust.file.logs.map(({ key }) => (
              <li key={key.name}>Log {key.name}</li>
            ))}
            {trust.file.witnesses.map(({ name, key }) => (
              <li key={name}>
                Witness {name} ({key.name})
              </li>
            ))}
          </ul>
        </section>
      )}
      {pins.length > 0 && (
        <section aria-labelledby="pinned">
          <h2 id="pinned">Keys that you confirmed</h2>
          {pins.map(([origin, vkey]) => (
            <div key={origin} class="panel">
              <Digest>{vkey}</Digest>
              <p>
                <button type="button" onClick={() => trust.forget(origin)}>
                  Forget this key
                </button>
              </p>
            </div>
          ))}
        </section>
      )}
    </>
  )
}
