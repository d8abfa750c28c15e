import Fastify from 'fastify';
import pg from 'pg';
import { Coalescer } from '../harness/coalescer.ts';

/*
 * A process with a server that does nothing but take a document and store it: the limit for a service on Fastify. How it
 * stores is its first argument: `nothing`, `insert` (one INSERT a request) or `coalesced` (one for all requests of a turn
 * of the event loop, two in flight). JSON is parsed, as Fastify does by itself; YAML is stored as the text that came.
 */

const [how, url] = process.argv.slice(2) as ['nothing' | 'insert' | 'coalesced', string];
const pool = new pg.Pool({ connectionString: url, max: 10 });
await pool.query(
  'CREATE TABLE submission (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, document jsonb NOT NULL)',
);

const INSERT = { name: 'insert', text: 'INSERT INTO submission (document) VALUES ($1)' };
const INSERT_MANY = {
  name: 'insert_many',
  text: 'INSERT INTO submission (document) SELECT jsonb_array_elements($1::jsonb)',
};

const coalescer = new Coalescer<string>(2, (documents) =>
  pool.query({ ...INSERT_MANY, values: [`[${documents.join(',')}]`] }),
);
const store = {
  nothing: () => undefined,
  insert: (document: string) => pool.query({ ...INSERT, values: [document] }),
  coalesced: (document: string) => coalescer.add(document),
}[how];

const server = Fastify();
server.addContentTypeParser('application/yaml', { parseAs: 'string' }, (_request, body, done) => done(null, body));
server.post('/api/specs', async (request, reply) => {
  await store(JSON.stringify(request.body));
  return reply.code(202).send({ id: request.id });
});
process.send!({ url: await server.listen({ port: 0, host: '127.0.0.1' }) });
process.on('disconnect', () => process.exit(0));
