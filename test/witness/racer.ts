/** One of two programs that ask a witness at once: takes a body in base64 a line, answers `STATUS BODY` in base64 a line. */
import { createInterface } from 'node:readline'
import { Pool } from 'undici'

const pool = new Pool(process.argv[2]!, { connections: 1 })
for await (const line of createInterface({ input: process.stdin })) {
  const body = Buffer.from(line, 'base64')
  const answer = await pool.request({ method: 'POST', path: '/add-checkpoint', body })
  console.log(answer.statusCode, Buffer.from(await answer.body.text()).toString('base64'))
}
await pool.close()
