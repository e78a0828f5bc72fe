/**
 * Requests that two readers of HTTP could cut in two ways, so that one of them takes the end of one for the beginning of another. Each holds a second
 * request; there must be one answer, of refusal, and the end of the connection.
 */
import { check } from '../lane.ts'
import { exchangeBytes } from './socket.ts'

const SECOND = 'GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'
const chunked = (...headers: readonly string[]): string =>
  `POST /test/v1/events HTTP/1.1\r\nHost: x\r\n${headers.join('\r\n')}\r\n\r\n`

/** By what is wrong with it. */
const REFUSED: Readonly<Record<string, string>> = {
  'a length and chunks': `${chunked('Content-Length: 6', 'Transfer-Encoding: chunked')}0\r\n\r\n${SECOND}`,
  'chunks and a length': `${chunked('Transfer-Encoding: chunked', 'Content-Length: 6')}0\r\n\r\n${SECOND}`,
  'two lengths': `${chunked('Content-Length: 0', `Content-Length: ${SECOND.length}`)}${SECOND}`,
  'one length twice': `${chunked('Content-Length: 0', 'Content-Length: 0')}${SECOND}`,
  'a list of lengths': `${chunked('Content-Length: 0, 0')}${SECOND}`,
  'a length with a sign': `${chunked('Content-Length: +0')}${SECOND}`,
  'a length below zero': `${chunked('Content-Length: -1')}${SECOND}`,
  'a length in hex': `${chunked('Content-Length: 0x0')}${SECOND}`,
  'a length past 64 bits': `${chunked('Content-Length: 18446744073709551616')}${SECOND}`,
  'an empty length': `${chunked('Content-Length: ')}${SECOND}`,
  'an unknown coding': `${chunked('Transfer-Encoding: xchunked')}0\r\n\r\n${SECOND}`,
  'chunked that is not the last coding': `${chunked('Transfer-Encoding: chunked, identity')}0\r\n\r\n${SECOND}`,
  'chunked twice': `${chunked('Transfer-Encoding: chunked', 'Transfer-Encoding: identity')}0\r\n\r\n${SECOND}`,
  'a space before the colon': `${chunked('Transfer-Encoding : chunked')}0\r\n\r\n${SECOND}`,
  'a vertical tab before the value': `${chunked('Transfer-Encoding:\x0bchunked')}0\r\n\r\n${SECOND}`,
  'a folded header': `${chunked('Transfer-Encoding:\r\n chunked')}0\r\n\r\n${SECOND}`,
  'a header that begins with a space': `${chunked(' Content-Length: 0')}${SECOND}`,
  'a bare carriage return in a header': `${chunked('X: a\rContent-Length: 5')}${SECOND}`,
  'NUL in a header': `${chunked('X: a\0b')}${SECOND}`,
  'NUL in the target': `GET /a\0b HTTP/1.1\r\nHost: x\r\n\r\n${SECOND}`,
  'a header without a colon': `${chunked('Content-Length 0')}${SECOND}`,
  'a name with a space in it': `${chunked('Content Length: 0')}${SECOND}`,
  'a chunk size with a sign': `${chunked('Transfer-Encoding: chunked')}+0\r\n\r\n${SECOND}`,
  'a chunk size in another spelling': `${chunked('Transfer-Encoding: chunked')}0x0\r\n\r\n${SECOND}`,
  'a chunk size past 64 bits': `${chunked('Transfer-Encoding: chunked')}10000000000000000\r\nx\r\n0\r\n\r\n${SECOND}`,
  'a chunk longer than it says': `${chunked('Transfer-Encoding: chunked')}1\r\nxy\r\n0\r\n\r\n${SECOND}`,
  'an endless extension of a chunk': `${chunked('Transfer-Encoding: chunked')}1;${'a'.repeat(200_000)}\r\nx\r\n0\r\n\r\n${SECOND}`,
  'two hosts': `GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n${SECOND}`,
  'no host': `GET /healthz HTTP/1.1\r\n\r\n${SECOND}`,
  'a later version': `GET /healthz HTTP/2.0\r\nHost: x\r\n\r\n${SECOND}`,
  'the preface of HTTP/2': `PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${SECOND}`,
  'a version before there were headers': `GET /healthz\r\n\r\n${SECOND}`,
  'a method in small letters': `get /healthz HTTP/1.1\r\nHost: x\r\n\r\n${SECOND}`,
  'a space in the target': `GET /health z HTTP/1.1\r\nHost: x\r\n\r\n${SECOND}`,
  'lines that end in a line feed alone': `GET /healthz HTTP/1.1\nHost: x\n\n${SECOND}`,
  TLS: '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03',
  'headers without an end': `GET /healthz HTTP/1.1\r\nHost: x\r\n${'X-Header: value\r\n'.repeat(10_000)}`,
  'a header of a megabyte': `GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'a'.repeat(2 ** 20)}\r\n\r\n`,
  'a target of a megabyte': `GET /${'a'.repeat(2 ** 20)} HTTP/1.1\r\nHost: x\r\n\r\n`,
}

export async function refusesShapes(name: string, url: string): Promise<void> {
  for (const [what, bytes] of Object.entries(REFUSED)) {
    const { statuses, closed, text } = await exchangeBytes(url, Buffer.from(bytes, 'latin1'))
    // What is no request of HTTP/1 is refused before Node has found its end: what follows may be refused too, and is never answered.
    const most = /version/.test(what) ? 2 : 1
    const refused = statuses.length <= most && statuses.every((status) => status >= 400 && status < 500)
    check(`${name}: ${what}: ${statuses.join() || 'no answer'}`, refused && closed, text.slice(0, 2_000))
  }
}
