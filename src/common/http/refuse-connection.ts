import { STATUS_CODES } from 'node:http';
import type { Socket } from 'node:net';
import { randomUUID } from 'node:crypto';
import { Problem } from '../problem/problem.js';

/** Answers bytes that are no HTTP request, and so reach no route, and ends the connection. */
export function refuseConnection(error: Error & { code?: string }, socket: Socket): void {
  // The caller has gone.
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  const problem = explain(error.code);
  const id = randomUUID();
  const body = JSON.stringify(problem.toBody(id));
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'Content-Type: application/problem+json; charset=utf-8',
    `Content-Length: ${Buffer.byteLength(body)}`,
    `X-Request-Id: ${id}`,
    'Connection: close',
  ];
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`, () => socket.destroy());
}

function explain(code: string | undefined): Problem {
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return new Problem('request_timeout', 'The request did not arrive in time.');
  if (code === 'HPE_HEADER_OVERFLOW') {
    return new Problem('bad_request', 'The address and the headers together are larger than this service accepts.');
  }
  return new Problem('bad_request', 'What was sent is not a well-formed HTTP request.');
}
