#!/usr/bin/env node
import { main } from './cli.ts'
import { keysCommands } from './witness/keys.ts'

await main('treeline-witness', 'Keeps the keys that seal write-once copies.', keysCommands)
