#!/usr/bin/env -S node --max-semi-space-size=8
/** V8 would let young objects have 96 MiB: a third of the memory of a loaded server, for no event more a second. */
import { main } from './cli.ts'
import { backupCommand } from './server/backup.ts'
import { checkCommand } from './server/check.ts'
import { initCommand } from './server/init.ts'
import { rebuildIndexCommand } from './server/rebuild-index.ts'
import { restoreCommand } from './server/restore.ts'
import { serveCommand } from './server/serve.ts'
import { tokenCommands } from './server/token.ts'

await main('treeline-server', 'Keeps transparency logs and serves them over HTTP.', [
  initCommand,
  serveCommand,
  checkCommand,
  backupCommand,
  rebuildIndexCommand,
  restoreCommand,
  ...tokenCommands,
])
