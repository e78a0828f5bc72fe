import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { tempFolder } from './lane.ts'

/** Something that promises, and can be asked what has become of its promises. */
export interface Subject {
  readonly name: string
  /** A folder as it is before each run. */
  readonly folder: string
  /** How many of its faults are enough where not all are asked for. */
  readonly sample?: number
  /** The files in which what is promised is kept, where others are written after them. */
  readonly keptIn?: RegExp
  /** The program over a folder; `early` breaks its word. */
  command(folder: string, early: boolean): readonly string[]
  /** What is wrong with what is left, by what the program had printed. */
  examine(folder: string, output: string): Promise<string[]>
}

/** Whether bytes stand in any file of a folder. */
export function holds(folder: string, bytes: Uint8Array): boolean {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' }).some((name) => {
    const file = join(folder, name)
    return statSync(file).isFile() && readFileSync(file).includes(Buffer.from(bytes))
  })
}

export function writeWork(work: unknown): string {
  const file = join(tempFolder(), 'work.json')
  writeFileSync(file, JSON.stringify(work))
  return file
}
