/** The log that one goes on from, and the one that goes on from it. */
import type { JSX } from 'preact'
import { chainOf, checkContinuity } from './continuity.ts'
import type { ListedLog } from './head.ts'
import { logHref } from './route.ts'
import { useSession } from './session.ts'
import { Steps, useLoad } from './ui.tsx'

const LogLink = ({ log: { name } }: { log: ListedLog }): JSX.Element => <a href={logHref(name)}>{name}</a>

/** Terms of a list of facts. */
export function ChainFacts({ log }: { log: ListedLog }): JSX.Element {
  const session = useSession()
  const chain = useLoad(async () => chainOf(log, await session.logs()), [session.version, log.name])
  const steps = useLoad(
    async () => (log.successorOf === undefined ? [] : await checkContinuity(session, log)),
    [session.version, log.name],
  )
  const { before, after } = chain.value ?? {}
  return (
    <>
      {log.successorOf !== undefined && (
        <>
          <dt>Goes on from</dt>
          <dd>
            {before === undefined ? log.successorOf.origin : <LogLink log={before} />}, as of its first{' '}
            {log.successorOf.size.toLocaleString('en')} entries
            {before === undefined && '. That log is not on this server, or not for you to read'}
            {steps.value !== undefined && <Steps steps={steps.value} />}
          </dd>
        </>
      )}
      {after !== undefined && (
        <>
          <dt>Goes on in</dt>
          <dd>
            <LogLink log={after} />, which takes what would be written here
          </dd>
        </>
      )}
    </>
  )
}

/** The same in a line, for the views of one log: history does not end at its first entry, nor at its last. */
export function ChainLine({ name }: { name: string }): JSX.Element | null {
  const session = useSession()
  const chain = useLoad(async () => chainOf(await session.log(name), await session.logs()), [session.version, name])
  const { before, after } = chain.value ?? {}
  if (before === undefined && after === undefined) return null
  return (
    <p class="quiet">
      {before !== undefined && (
        <>
          What came before it is in <LogLink log={before} />.{' '}
        </>
      )}
      {after !== undefined && (
        <>
          It goes on in <LogLink log={after} />.
        </>
      )}
    </p>
  )
}
