import autocannon from 'autocannon';
import { now } from '../harness/clock.ts';
import { percentile } from '../harness/statistics.ts';
import { startFastify, startTurnpike } from '../http/servers.ts';
import { SCORE_JSON, SCORE_YAML } from '../http/score.ts';
import { onPostgres } from '../harness/store.ts';
import { P50, P99, RATE, type Workload } from './workload.ts';

const CONNECTIONS = 64;
const WARM_UP = 3_000;
const SECONDS = 3;

const BODIES: Record<string, { type: string; body: string }> = {
  JSON: { type: 'application/json', body: SCORE_JSON },
  YAML: { type: 'application/yaml', body: SCORE_YAML },
};

export const http: Workload = {
  name: 'http',
  title: 'HTTP submissions',
  text:
    `POST /api/specs with a Score document of 20 lines over ${CONNECTIONS} connections, each of which waits for its ` +
    'answer. Turnpike is the real service (ROLE=api, LOG_LEVEL=warn): it checks the key, parses, validates and stores a ' +
    'task with its ledger. The others are a bare Fastify of the same version that parses JSON, takes YAML as text, checks ' +
    'nothing, and stores the document as a row of a minimal table: with one INSERT for all requests of a turn of the event ' +
    'loop, with one INSERT a request, or not at all. Client, server and database share the machine.',
  contestants: ['turnpike', 'fastify-coalesced', 'fastify-insert', 'fastify-nothing'],
  variants: ['JSON', 'YAML'],
  metrics: [RATE, P50, P99],
  ratio: 'turnpike',
  async measure({ contestant, variant, url: databaseUrl, short }) {
    const start =
      contestant === 'turnpike' ? startTurnpike : startFastify.bind(null, contestant.replace('fastify-', ''));
    const server = await start(databaseUrl);
    try {
      const { type, body } = BODIES[variant]!;
      const load = (amount: number) =>
        send({
          url: `${server.url}/api/specs`,
          method: 'POST',
          headers: { 'content-type': type, ...server.headers },
          body,
          connections: CONNECTIONS,
          amount,
        });
      // By number and not by time: a request cut off at the end may have been stored or not.
      const warmUp = await load(short ? CONNECTIONS : WARM_UP);
      const amount = short ? 200 : Math.ceil(warmUp.rate * SECONDS);
      const { rate, waits } = await load(amount);
      if (server.count) {
        const rows = await onPostgres<{ count: string }>(databaseUrl, server.count);
        const expected = (short ? CONNECTIONS : WARM_UP) + amount;
        if (Number(rows[0]!.count) !== expected) throw new Error(`${rows[0]!.count} rows instead of ${expected}`);
      }
      return { rate, p50: percentile(waits, 50), p99: percentile(waits, 99) };
    } finally {
      await server.stop();
    }
  },
};

/** Reads the clock at each answer: autocannon's own results are rounded to whole milliseconds and seconds. */
async function send(options: autocannon.Options & { amount: number }): Promise<{ rate: number; waits: number[] }> {
  const waits: number[] = [];
  let lastAt = 0;
  const begun = now();
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(options, (error, result) => (error ? reject(error as Error) : resolve(result)));
    instance.on('response', (_client, _status, _bytes, milliseconds) => {
      waits.push(milliseconds);
      lastAt = now();
    });
  });
  if (result['2xx'] !== options.amount) {
    throw new Error(`${result['2xx']} of ${options.amount} requests were accepted, ${result.errors} broke`);
  }
  return { rate: (options.amount * 1_000) / (lastAt - begun), waits };
}
