/** Punctures a key and is killed right before a statement of the scrub: `FILE ORIGIN INDEX STATEMENT`. */
import Database from 'better-sqlite3'
import { KeyStore } from '../../witness/seal/key-store.ts'

const [file, origin, index, statement] = process.argv.slice(2) as [string, string, string, string]
const keys = new KeyStore(file)
const { exec, pragma } = Database.prototype
Database.prototype.exec = function (sql) {
  die(sql)
  return exec.call(this, sql)
}
Database.prototype.pragma = function (sql, options) {
  die(sql)
  return pragma.call(this, sql, options)
}
keys.puncture(origin, [Number(index)])

function die(sql: string): void {
  if (sql.startsWith(statement)) process.kill(process.pid, 'SIGKILL')
}
