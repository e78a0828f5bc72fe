/** What Prometheus and Grafana are told to look at must be there to be seen. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import t from 'tap'
import { Metrics } from '../../src/http/metrics.ts'
import { Metrics as WitnessMetrics } from '../../witness/metrics.ts'
import { createState, WitnessState } from '../../witness/state.ts'
import { temporaryFolder } from '../support/server.ts'

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const read = (file: string): string => readFileSync(join(ROOT, file), 'utf8')

t.test('every metric that a rule, a panel or a page names is one that a program has', async (t) => {
  const file = join(temporaryFolder(t), 'witness.db')
  createState(file, 'w', 1e9)
  const state = WitnessState.open(file)
  const log = new Metrics().withProcess()
  log.watch(new Map())
  const registries = [log.registry, new WitnessMetrics(state).withProcess().registry]
  state.close()
  const known = new Set(registries.flatMap((registry) => registry.getMetricsAsArray().map(({ name }) => name)))
  t.ok(known.size > 40)
  for (const page of ['docs/deploy/alerts.yml', 'docs/deploy/grafana/dashboards/treeline.json', 'docs/operations.md']) {
    const named = [...read(page).matchAll(/\btreeline_[a-z0-9_]+/g)].map(([name]) => name.replace(/_bucket$/, ''))
    t.ok(named.length > 5, page)
    t.same(
      named.filter((name) => !known.has(name)),
      [],
      page,
    )
  }
})

t.test('the container has what the compose file starts, and nothing runs as root', (t) => {
  const dockerfile = read('Dockerfile')
  for (const folder of ['cmd', 'schemas', 'src', 'witness']) {
    t.match(dockerfile, new RegExp(`^COPY ${folder} ${folder}$`, 'm'))
    t.match(read('.dockerignore'), new RegExp(`^!${folder}$`, 'm'))
  }
  t.match(dockerfile, /^USER node$/m)
  const flags = /^#!\/usr\/bin\/env -S node (.*)$/m.exec(read('cmd/treeline-server.ts'))?.[1]
  t.match(dockerfile, `ENTRYPOINT ["node", "${flags}", "/app/cmd/treeline-server.ts"]`)
  const compose = read('docker-compose.yml')
  for (const [, image = ''] of compose.matchAll(/^\s+image: (\S+)$/gm))
    t.match(image, /:[0-9]+\.[0-9]+\.[0-9]+$|:v[0-9.]+$/, image)
  const services = compose.slice(compose.indexOf('\nservices:'), compose.indexOf('\nvolumes:'))
  const blocks = services.split(/^ {2}(?=[a-z0-9-]+:$)/m).slice(1)
  t.equal(blocks.length, 6)
  for (const block of blocks) {
    const inherits = /<<: \*(treeline|witness)/.test(block)
    t.ok(inherits || (/^ +user: /m.test(block) && /^ +read_only: true$/m.test(block)), block.slice(0, 20))
    t.ok(/healthcheck:/.test(block) || /<<: \*witness/.test(block), block.slice(0, 20))
  }
  t.end()
})
