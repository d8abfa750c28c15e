import type { FastifyInstance } from 'fastify';
import { DOCUMENT_TYPES } from '../yaml/media-type.js';

/**
 * Takes bodies of the document types only; anything else, form encoding included, is answered with 415. They reach the controllers as the bytes that came: an error thrown by a content-type parser would end as a 500, and
 * JSON.parse would not say where.
 */
export function registerBodyParsers(fastify: FastifyInstance): void {
  fastify.removeAllContentTypeParsers();
  fastify.addContentTypeParser(Object.keys(DOCUMENT_TYPES), { parseAs: 'buffer' }, (_request, body, done) =>
    done(null, body),
  );
}
