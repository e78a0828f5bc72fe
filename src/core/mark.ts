/**
 * Statements about another event: that something is wrong with it, or that another one took its place. An entry calls their subject *produced*, as
 * that of every type of ours (`describe`, fixed with format 1). But whoever says that an artifact is bad has not made it: in lineage they examined it.
 */
import { QUARANTINE, SUPERSEDES } from './statement.ts'

/** Statements of these types, with a predicate `{"origin","index","reason"}`, mark the entry that they name. */
export const MARKS: Readonly<Record<string, 'quarantine' | 'supersedes'>> = {
  [QUARANTINE]: 'quarantine',
  [SUPERSEDES]: 'supersedes',
}

export const marksOther = (type: string): boolean => Object.hasOwn(MARKS, type)

/** What an artifact of an event of this type is to lineage. */
export const stepRole = <R extends string>(type: string, role: R): R | 'examined' =>
  role === 'produced' && marksOther(type) ? 'examined' : role
