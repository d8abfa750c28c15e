import helmet, { type FastifyHelmetOptions } from '@fastify/helmet';
import type { FastifyInstance } from 'fastify';

/** Answers of the API are data: nothing in them is to be run, drawn or framed by a browser. */
const DATA = {
  'default-src': ["'none'"],
  'frame-ancestors': ["'none'"],
  'base-uri': ["'none'"],
  'form-action': ["'none'"],
};

/** Pages load what this service serves and nothing else. Swagger UI has style sheets within its page. */
const PAGES = {
  ...DATA,
  'script-src': ["'self'"],
  'style-src': ["'self'", "'unsafe-inline'"],
  'img-src': ["'self'", 'data:'],
  'font-src': ["'self'"],
  'connect-src': ["'self'"],
};

/** Where the pages are. */
const PAGE = /^\/api\/docs(?:[/?]|$)/;

/** What browsers are told with every answer; `tls`: that they shall never come without it again. */
export async function setSecurityHeaders(fastify: FastifyInstance, tls: boolean): Promise<void> {
  await fastify.register(helmet, {
    global: false,
    frameguard: { action: 'deny' },
    // Under plain HTTP browsers ignore it, and TLS may end at a proxy with rules of its own.
    strictTransportSecurity: tls,
  });
  const data = policy(DATA);
  const pages = policy(PAGES);
  fastify.addHook('onRequest', (request, reply, done) => {
    void reply.helmet(PAGE.test(request.url) ? pages : data);
    done();
  });
}

function policy(directives: Record<string, string[]>): FastifyHelmetOptions {
  return { contentSecurityPolicy: { useDefaults: false, directives } };
}
