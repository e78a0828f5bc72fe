#!/usr/bin/env -S node --max-semi-space-size=8
/** As of the server: with more, buffers that nobody needs lie about until young objects are looked through. */
import { main } from './cli.ts'
import { clearCommand } from './witness/clear.ts'
import { initCommand } from './witness/init.ts'
import { keysCommands } from './witness/keys.ts'
import { runCommand } from './witness/run.ts'
import { statusCommand } from './witness/status.ts'
import { verifyCommand } from './witness/verify.ts'

await main('treeline-witness', 'Watches transparency logs, and cosigns what is consistent.', [
  initCommand,
  runCommand,
  verifyCommand,
  statusCommand,
  clearCommand,
  ...keysCommands,
])
