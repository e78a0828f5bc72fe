/** TLS from files, and from the same files again when they were renewed. */
import { readFileSync } from 'node:fs'
import type { Server } from 'node:http'
import type { ServerOptions } from 'node:https'
import { createSecureContext, type Server as TlsServer } from 'node:tls'
import { readSecretFile } from '../../src/store/secret-file.ts'
import { usage } from '../cli.ts'

export interface TlsFiles {
  /** PEM: our certificate, then the intermediate ones. */
  readonly cert: string
  /** PEM, mode 0600. */
  readonly key: string
  /** PEM of whoever signs the certificates of clients: then nobody connects without one. */
  readonly clientCa: string | undefined
}

/** Throws USAGE for files that cannot be used, or that do not belong together. */
export function readTls({ cert, key, clientCa }: TlsFiles): ServerOptions {
  const options: ServerOptions = {
    minVersion: 'TLSv1.2',
    cert: read(cert),
    key: readSecretFile(key),
    ...(clientCa !== undefined && { ca: read(clientCa), requestCert: true, rejectUnauthorized: true }),
  }
  try {
    createSecureContext(options)
  } catch (error) {
    throw usage(`${cert} and ${key} are no certificate with its key: ${(error as Error).message}`)
  }
  return options
}

/** Connections from now on see what the files hold now; those that are open go on. Throws USAGE, and changes nothing then. */
export function reloadTls(server: Server, files: TlsFiles): void {
  ;(server as unknown as TlsServer).setSecureContext(readTls(files))
}

function read(file: string): Buffer {
  try {
    return readFileSync(file)
  } catch (error) {
    throw usage(`${file} cannot be read: ${(error as Error).message}`)
  }
}
