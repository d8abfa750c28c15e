import rateLimit from '@fastify/rate-limit';
import type { HttpAdapterHost } from '@nestjs/core';
import { fastify, type FastifyRequest } from 'fastify';
import { Problem } from '../common/problem/problem.js';
import type { Authenticator } from './authenticator.js';
import { RefusedRequests } from './refused-requests.js';

const EVIL = '192.0.2.1';
const EXCEEDED = expect.objectContaining({
  code: 'too_many_requests',
  headers: { 'Retry-After': expect.stringMatching(/^[1-9]\d?$/) as string },
}) as unknown;

async function setup(perMinute: number) {
  const instance = fastify();
  await instance.register(rateLimit, { global: false });
  const host = { httpAdapter: { getInstance: () => instance } } as unknown as HttpAdapterHost;
  const authenticate = jest.fn(async (authorization?: string) => {
    if (authorization !== 'Bearer good') throw new Problem('unauthorized', 'the key is not known');
  });
  const subject = new RefusedRequests(host, perMinute, { authenticate } as unknown as Authenticator);
  const of = (ip: string, authorization?: string, method = 'POST') =>
    ({ ip, method, headers: { authorization }, routeOptions: { config: {} } }) as unknown as FastifyRequest;
  return {
    authenticate,
    count: (ip: string) => subject.count(of(ip)),
    lookAhead: (ip: string, authorization?: string, method?: string) =>
      subject.lookAhead(of(ip, authorization, method)),
  };
}

describe('RefusedRequests', () => {
  it('refuses an address that is not known too often, before its body is read', async () => {
    const { count, lookAhead, authenticate } = await setup(2);
    for (let n = 0; n < 2; n++) {
      await lookAhead(EVIL);
      expect(await count(EVIL)).toBeUndefined();
    }
    await lookAhead(EVIL);
    expect(authenticate).not.toHaveBeenCalled();
    expect(await count(EVIL)).toEqual(EXCEEDED);
    await expect(lookAhead(EVIL)).rejects.toEqual(EXCEEDED);
    await expect(lookAhead(EVIL, 'Bearer bad')).rejects.toEqual(EXCEEDED);
    await expect(lookAhead(`::ffff:${EVIL}`)).rejects.toEqual(EXCEEDED);
    // Nobody else is, nor who has a key, nor what has no body.
    await lookAhead('192.0.2.2');
    await lookAhead(EVIL, 'Bearer good');
    await lookAhead(EVIL, undefined, 'GET');
  });

  it('counts nothing by looking', async () => {
    const { count, lookAhead } = await setup(1);
    for (let n = 0; n < 10; n++) await lookAhead(EVIL);
    expect(await count(EVIL)).toBeUndefined();
  });

  it('refuses nobody with a limit of 0', async () => {
    const { count, lookAhead } = await setup(0);
    for (let n = 0; n < 10; n++) expect(await count(EVIL)).toBeUndefined();
    await lookAhead(EVIL);
  });
});
