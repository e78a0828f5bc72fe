import { PutBucketVersioningCommand } from '@aws-sdk/client-s3'
import { openStore } from '../../witness/worm/open-store.ts'
import { codeOf } from '../witness/worm-contract.ts'
import { check } from './lane.ts'
import { Liar, type Lie } from './s3-liar.ts'
import { makeBucket, rawClient, startMoto, useServer } from './s3-servers.ts'
import { refused } from './worm-checks.ts'

/** moto, alone and with locks kept in front of it: first all of them, then all but one. */
export async function liars(): Promise<void> {
  const moto = await startMoto()
  useServer(moto.url)
  const client = rawClient(moto)
  const bucket = await makeBucket(client)
  await refused(
    'moto cannot say which lock it keeps',
    (await openStore(`s3://${bucket}`)).probe(),
    'UNREACHABLE',
    /lock of probe/,
  )

  const liar = await Liar.before(moto.url)
  useServer(liar.url)
  const store = await openStore(`s3://${bucket}`)
  check(
    'moto behind a keeper of locks passes',
    (await codeOf(store.probe())) === 'none',
    String(await store.probe().catch((e) => e)),
  )
  const steps = ['delete by version', 'shorten', 'change to GOVERNANCE'].flatMap((step) => [
    step,
    `${step} with bypass of governance`,
  ])
  const lies: [Lie, string, string | RegExp][] = [
    ...steps.flatMap((step): [Lie, string, string | RegExp][] => [
      [{ step, does: 'pass' }, 'WORM_BROKEN', `the store let pass: ${step}`],
      [{ step, does: 'fail' }, 'UNREACHABLE', new RegExp(`probe: ${step}: InternalError`)],
      [{ step, does: 'nonsense' }, 'UNREACHABLE', new RegExp(`probe: ${step}: MalformedXML`)],
    ]),
    [{ step: steps[3]!, does: 'done' }, 'WORM_BROKEN', /after all refusals: the lock read back is COMPLIANCE until/],
    [{ step: steps[5]!, does: 'done' }, 'WORM_BROKEN', /after all refusals: the lock read back is GOVERNANCE until/],
    [{ does: 'forget' }, 'WORM_BROKEN', /lock of probe.*NoSuchObjectLockConfiguration/],
    [{ does: 'weaken' }, 'WORM_BROKEN', /is locked in GOVERNANCE mode, not in COMPLIANCE/],
    [{ does: 'shorter' }, 'WORM_BROKEN', /was locked until .*, and is until/],
    [{ does: 'earlier' }, 'WORM_BROKEN', /was locked until .*, and is until/],
    [{ does: 'spoil' }, 'WORM_BROKEN', /other bytes/],
  ]
  for (const [lie, code, says] of lies) {
    liar.lie = lie
    await refused(`a store that lies: ${lie.does} ${lie.step ?? ''}`, store.probe(), code, says)
  }
  liar.lie = undefined
  check('and passes again', (await codeOf(store.probe())) === 'none')

  await client.send(
    new PutBucketVersioningCommand({ Bucket: bucket, VersioningConfiguration: { Status: 'Suspended' } }),
  )
  await refused('versioning is suspended', store.probe(), 'WORM_BROKEN', /versioning of .* is Suspended, not Enabled/)
  liar.close()
  await moto.stop()
}
