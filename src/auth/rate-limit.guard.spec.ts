import rateLimit from '@fastify/rate-limit';
import type { ExecutionContext } from '@nestjs/common';
import type { HttpAdapterHost } from '@nestjs/core';
import { fastify } from 'fastify';
import type { AuthenticatedRequest } from './principal.js';
import { RateLimitGuard } from './rate-limit.guard.js';

async function setup(perMinute: number) {
  const instance = fastify();
  await instance.register(rateLimit, { global: false });
  const host = { httpAdapter: { getInstance: () => instance } } as unknown as HttpAdapterHost;
  const guard = new RateLimitGuard(host, perMinute);
  return (ip: string, name?: string) => {
    const request = { ip, routeOptions: { config: {} }, ...(name && { principal: { name } }) } as AuthenticatedRequest;
    const context = { switchToHttp: () => ({ getRequest: () => request }) } as unknown as ExecutionContext;
    return guard.canActivate(context);
  };
}

const REFUSED = expect.objectContaining({
  code: 'too_many_requests',
  headers: { 'Retry-After': expect.stringMatching(/^[1-9]\d?$/) as string },
}) as unknown;

describe('RateLimitGuard', () => {
  it('refuses a key its requests above the limit, from whatever address they come', async () => {
    const ask = await setup(2);
    expect(await ask('192.0.2.1', 'ci')).toBe(true);
    expect(await ask('192.0.2.2', 'ci')).toBe(true);
    await expect(ask('192.0.2.3', 'ci')).rejects.toEqual(REFUSED);
    expect(await ask('192.0.2.1', 'another')).toBe(true);
  });

  it('counts requests without a key by address, whole networks of IPv6 as one', async () => {
    const ask = await setup(1);
    expect(await ask('192.0.2.1')).toBe(true);
    await expect(ask('192.0.2.1')).rejects.toEqual(REFUSED);
    await expect(ask('::ffff:192.0.2.1')).rejects.toEqual(REFUSED);
    expect(await ask('2001:db8::1')).toBe(true);
    await expect(ask('2001:db8::2')).rejects.toEqual(REFUSED);
    expect(await ask('192.0.2.1', 'ci')).toBe(true);
  });

  it('refuses nobody with a limit of 0', async () => {
    const ask = await setup(0);
    for (let n = 0; n < 10; n++) expect(await ask('192.0.2.1')).toBe(true);
  });
});
