import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { openBackup, sealBackup } from '../../witness/seal/key-backup.ts'
import { KeyStore } from '../../witness/seal/key-store.ts'
import { readSecretFile, syncPath, writeNewFile } from '../../witness/secret-file.ts'
import { type Command, EXIT, type Flag, type Options, usage } from '../cli.ts'
import { readInput } from '../files.ts'

const DATA: Flag = { name: 'data', value: 'DIR', help: 'the data folder of the witness', required: true }
const PASSPHRASE: Flag = {
  name: 'passphrase-file',
  value: 'FILE',
  help: 'holds the passphrase; one newline at its end is ignored',
  required: true,
}

/** A mistyped folder must not silently become an empty store of keys. */
function openExisting(options: Options): KeyStore {
  const file = join(options.need('data'), 'keys.db')
  if (!existsSync(file)) throw usage(`there are no sealing keys at ${file}`)
  return new KeyStore(file)
}

/** Throws USAGE when the file is missing, open to others than its owner, or empty. */
function readPassphrase(options: Options): Uint8Array {
  const file = options.need('passphrase-file')
  const bytes = readSecretFile(file)
  const passphrase = bytes.at(-1) === 0x0a ? bytes.subarray(0, -1) : bytes
  if (passphrase.length === 0) throw usage(`the passphrase file ${file} is empty`)
  return passphrase
}

function only(operands: readonly string[], what: string): string {
  const [operand, ...more] = operands
  if (operand === undefined || more.length > 0) throw usage(`expected one ${what}`)
  return operand
}

/** On the disk, with its name, when it returns; a crash before leaves a part that no passphrase opens. */
function writeBackup(file: string, bytes: Uint8Array): void {
  if (existsSync(file)) throw usage(`${file} exists already`)
  writeNewFile(file, bytes)
  syncPath(dirname(file))
}

export const keysCommands: readonly Command[] = [
  {
    name: 'keys export',
    operands: 'FILE',
    summary: 'Writes an encrypted backup of the sealing keys.',
    flags: [DATA, PASSPHRASE],
    async run(options, operands) {
      const file = only(operands, 'FILE')
      const passphrase = readPassphrase(options)
      const keys = openExisting(options)
      try {
        const backup = keys.export()
        writeBackup(file, sealBackup(backup, passphrase))
        console.log(`generation ${backup.generation} is in ${file}: destroy older backups, then confirm it`)
      } finally {
        keys.close()
      }
      return EXIT.done
    },
  },
  {
    name: 'keys import',
    operands: 'FILE',
    summary: 'Takes the sealing keys from a backup, unless newer ones are there.',
    flags: [DATA, PASSPHRASE],
    async run(options, operands) {
      const file = only(operands, 'FILE')
      const backup = openBackup(readInput(file), readPassphrase(options))
      const keys = new KeyStore(join(options.need('data'), 'keys.db'))
      try {
        keys.import(backup)
      } finally {
        keys.close()
      }
      console.log(`generation ${backup.generation} is in use`)
      return EXIT.done
    },
  },
  {
    name: 'keys confirm',
    operands: 'GENERATION',
    summary: 'States that no backup older than this generation exists: redactions up to it are complete.',
    flags: [DATA],
    async run(options, operands) {
      const text = only(operands, 'GENERATION')
      if (!/^(0|[1-9][0-9]{0,14})$/.test(text)) throw usage(`a generation is a whole number, not "${text}"`)
      const keys = openExisting(options)
      try {
        keys.confirm(Number(text))
      } finally {
        keys.close()
      }
      return EXIT.done
    },
  },
  {
    name: 'keys status',
    summary: 'Shows the generation of the sealing keys and the highest confirmed one.',
    flags: [DATA],
    async run(options) {
      const keys = openExisting(options)
      try {
        console.log(JSON.stringify(keys.status))
      } finally {
        keys.close()
      }
      return EXIT.done
    },
  },
]
