import { createHash } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { invalidParameters } from '../common/http/query.pipe.js';
import type { Idempotency } from '../queue/new-task.js';

/** A caller's key, and the hash of the request that it stands for. */
export type RequestKey = Pick<Idempotency, 'key' | 'bodyHash'>;

const PRINTABLE = /^[\x20-\x7e]{1,255}$/;

/** The request is its method, its address with the query, and the bytes of its body. */
export function readIdempotencyKey(
  { headers, method, url }: Pick<FastifyRequest, 'headers' | 'method' | 'url'>,
  body: Buffer | undefined,
): RequestKey | undefined {
  const key = headers['idempotency-key'];
  if (key === undefined) return undefined;
  if (typeof key !== 'string' || !PRINTABLE.test(key)) {
    const shown = String(key).slice(0, 100);
    const message = `'Idempotency-Key' must have 1 to 255 printable ASCII characters, but is '${shown}'`;
    throw invalidParameters([{ path: 'Idempotency-Key', message, hint: 'A fresh UUID for each request does well.' }]);
  }
  const hash = createHash('sha256').update(`${method} ${url}\n`);
  if (body) hash.update(body);
  return { key, bodyHash: hash.digest('base64url') };
}
