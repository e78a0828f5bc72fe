/** Imported before a program: its databases are opened with `synchronous=NORMAL`, for the lane to find out. */
import Database from 'better-sqlite3'

const { pragma } = Database.prototype

Database.prototype.pragma = function (source, options) {
  return pragma.call(this, source === 'synchronous = FULL' ? 'synchronous = NORMAL' : source, options)
}
