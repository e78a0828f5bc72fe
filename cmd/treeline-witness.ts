#!/usr/bin/env node
import { main } from './cli.ts'
import { clearCommand } from './witness/clear.ts'
import { initCommand } from './witness/init.ts'
import { runCommand } from './witness/run.ts'
import { statusCommand } from './witness/status.ts'

await main('treeline-witness', 'Cosigns the checkpoints of transparency logs that only ever grow.', [
  initCommand,
  runCommand,
  statusCommand,
  clearCommand,
])
