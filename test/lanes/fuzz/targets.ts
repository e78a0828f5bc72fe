import { CORE } from './core-targets.ts'
import { EDGE } from './edge-targets.ts'
import type { Target } from './target.ts'

/** Every parser of bytes from outside but the one of S3's answers, which waits for a network. */
export const TARGETS: readonly Target[] = [...CORE, ...EDGE]
