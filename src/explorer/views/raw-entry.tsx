/** One entry of a log of bytes without a meaning. */
import type { JSX } from 'preact'
import { toHex, toUtf8 } from '../../core/bytes.ts'
import { formatProof } from '../../core/proof-file.ts'
import type { CheckedEntry } from '../entries.ts'
import type { Head } from '../head.ts'
import { PathDrawing } from '../path-drawing.tsx'
import { preview, readRaw } from '../raw-entries.ts'
import { eventHref, logHref } from '../route.ts'
import { useSession } from '../session.ts'
import { Await, Digest, Steps, save, useLoad, Verdict } from '../ui.tsx'
import { many, type Step } from '../verdict.ts'

/** Bytes. */
const SHOWN = 4_096

export function RawEntryView({ log: name, index }: { log: string; index: number }): JSX.Element {
  const session = useSession()
  const loaded = useLoad(async () => {
    const log = await session.log(name)
    const head = await session.head(log)
    if (index >= head.size) throw new Error(`The published head has ${head.size} entries: there is none at ${index}.`)
    const [checked] = await readRaw(session.api, log, head, [index, index + 1])
    return { head, checked: checked! }
  }, [session.version, name, index])
  return (
    <>
      <nav class="trail" aria-label="Where you are">
        <a href="#/">Logs</a> / <a href={logHref(name)}>{name}</a> / {index}
      </nav>
      <div class="title">
        <h1>
          Entry {index} of {name}
        </h1>
        <p class="links">
          {index > 0 && <a href={eventHref(name, index - 1)}>Before</a>}
          {index + 1 < (loaded.value?.head.size ?? 0) && <a href={eventHref(name, index + 1)}>After</a>}
        </p>
      </div>
      <Await loaded={loaded} what="and verifying">
        {({ head, checked }) => <RawEntry log={name} head={head} checked={checked} />}
      </Await>
    </>
  )
}

function RawEntry({ log, head, checked }: { log: string; head: Head; checked: CheckedEntry }): JSX.Element {
  const { index, bytes, leaf, proof, state, why } = checked
  const inTree: Step = {
    title: 'Its bytes are in the tree',
    state: state === 'failed' ? 'failed' : 'verified',
    detail:
      state === 'failed'
        ? why
        : `SHA-256 of its ${many(bytes!.length, 'byte')} leads over ${many(proof!.length, 'hash', 'hashes')} to the root of the head of ${head.size} entries.`,
  }
  const steps = [inTree, ...head.steps]
  const file = () => formatProof({ index: BigInt(index), hashes: proof!, checkpoint: toUtf8(head.note) })
  return (
    <>
      <Verdict steps={steps} what={`Entry ${index}`} />
      <dl class="facts">
        <dt>Length</dt>
        <dd>{bytes !== undefined && many(bytes.length, 'byte')}</dd>
        <dt>Leaf hash</dt>
        <dd>{leaf !== undefined && <Digest>{toHex(leaf)}</Digest>}</dd>
      </dl>
      <section aria-labelledby="checks">
        <h2 id="checks">What was checked</h2>
        <Steps steps={steps} />
        {state !== 'failed' && (
          <div class="row">
            <button type="button" onClick={() => save(`${log}-${index}.tlog-proof`, file())}>
              Save the proof
            </button>
            <button type="button" onClick={() => save(`${log}-${index}.bin`, bytes!)}>
              Save the bytes
            </button>
            <span class="quiet">Both together verify without this server.</span>
          </div>
        )}
      </section>
      {bytes !== undefined && (
        <section aria-labelledby="bytes">
          <h2 id="bytes">Bytes</h2>
          {bytes.length > SHOWN && <p class="quiet">The first {SHOWN} of them.</p>}
          <pre class="payload" tabIndex={0}>
            {preview(bytes, SHOWN)}
          </pre>
        </section>
      )}
      {leaf !== undefined && proof !== undefined && state !== 'failed' && (
        <PathDrawing index={index} size={head.size} leaf={leaf} proof={proof} />
      )}
    </>
  )
}
