#!/usr/bin/env node
import { main } from './cli.ts'
import { diffCommand } from './client/diff.ts'
import { keygenCommand } from './client/keygen.ts'
import { monitorCommand } from './client/monitor.ts'
import { policyCommands } from './client/policy.ts'
import { evidenceCommand, getCommand, proofCommand } from './client/read.ts'
import { redactCommand } from './client/redact.ts'
import { replayCommand } from './client/replay.ts'
import { searchCommand } from './client/search.ts'
import { drainCommand, submitCommand } from './client/submit.ts'
import { blastRadiusCommand, traceCommand } from './client/trace.ts'
import { trustCommand } from './client/trust.ts'
import { verifyCommand } from './client/verify.ts'

await main('treeline', 'Logs events of machine-learning pipelines, and proves what was logged.', [
  keygenCommand,
  submitCommand,
  drainCommand,
  getCommand,
  proofCommand,
  evidenceCommand,
  verifyCommand,
  traceCommand,
  blastRadiusCommand,
  searchCommand,
  replayCommand,
  diffCommand,
  monitorCommand,
  ...policyCommands,
  redactCommand,
  trustCommand,
])
