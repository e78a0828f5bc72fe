/** Tessera's fsck, which rebuilds the root of a log from its entries and compares every tile, and what it must refuse. */
import { cpSync } from 'node:fs'
import Database from 'better-sqlite3'
import { logFiles } from '../../src/store/folder.ts'
import { check, type Finished, run, startServer, tempFolder, treelineServer } from './lane.ts'
import { goTool } from './tools.ts'

export const TESSERA = 'v1.0.4'

/** Judges one log of a data folder, wherever it is served. */
export class Fsck {
  readonly #program: string
  readonly #data: string
  readonly #name: string

  private constructor(program: string, data: string, name: string) {
    this.#program = program
    this.#data = data
    this.#name = name
  }

  static async of(data: string, name: string): Promise<Fsck> {
    return new Fsck(await goTool('github.com/transparency-dev/tessera/cmd/fsck', TESSERA), data, name)
  }

  judge(url: string, keyFile = logFiles(this.#data, this.#name).vkey): Promise<Finished> {
    const flags = [`--storage_url=${url}/${this.#name}/`, `--public_key=${keyFile}`, '--ui=false', '--N=4']
    return run(this.#program, flags)
  }

  async accepts(url: string, size: number): Promise<void> {
    const verdict = await this.judge(url)
    check(`fsck accepts the log ${this.#name} of ${size}`, accepted(verdict, size), verdict.output)
  }

  async refusesForeignKey(url: string, keyFile: string): Promise<void> {
    check(`fsck refuses a foreign key for ${this.#name}`, !accepted(await this.judge(url, keyFile)))
  }

  /** Each flips one bit in a copy of the database, which must be all that fsck and our own check need to refuse it. */
  async refusesFlips(controls: readonly (keyof typeof FLIPS)[], serve: readonly string[]): Promise<void> {
    for (const what of controls) {
      const copy = tempFolder()
      cpSync(this.#data, copy, { recursive: true })
      const { select, update } = FLIPS[what]
      const db = new Database(logFiles(copy, this.#name).database)
      const { id, bytes } = db.prepare(select).get() as { id: number; bytes: Buffer }
      // In an entry past its two bytes of length, in a tile inside the first hash.
      bytes[20]! ^= 0x01
      db.prepare(update).run(bytes, id)
      db.close()
      const checked = await treelineServer('check', '--data', copy)
      check(
        `treeline-server check refuses ${this.#name} with a flipped bit in ${what}`,
        checked.code === 1,
        checked.output,
      )
      const liar = await startServer(copy, serve)
      const verdict = await this.judge(liar.url)
      const refused = !accepted(verdict) && /^E\d{4} /m.test(verdict.output)
      check(`fsck refuses ${this.#name} with a flipped bit in ${what}`, refused, verdict.output)
      await liar.stop()
    }
    const sound = await treelineServer('check', '--data', this.#data)
    check(`treeline-server check accepts the log ${this.#name}`, sound.code === 0, sound.output)
  }
}

/** fsck exits with 0 whatever it finds. */
const accepted = ({ output }: Finished, size?: number): boolean =>
  output.includes(`Successfully fsck'd log with size ${size ?? ''}`)

const FLIPS = {
  'an entry': {
    select: 'SELECT first AS id, bundle AS bytes FROM entries LIMIT 1 OFFSET 3',
    update: 'UPDATE entries SET bundle = ? WHERE first = ?',
  },
  'a tile': {
    select: 'SELECT id, hashes AS bytes FROM tiles ORDER BY id LIMIT 1 OFFSET 5',
    update: 'UPDATE tiles SET hashes = ? WHERE id = ?',
  },
  'a tile of level 1': {
    select: 'SELECT id, hashes AS bytes FROM tiles WHERE id = 1 << 48',
    update: 'UPDATE tiles SET hashes = ? WHERE id = ?',
  },
} as const
