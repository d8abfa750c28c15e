import { type CanActivate, type ExecutionContext, Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance } from 'fastify';
import { Problem } from '../common/problem/problem.js';
import { networkOf } from './login-failures.js';
import type { AuthenticatedRequest } from './principal.js';

export const RATE_LIMIT_PER_MINUTE = Symbol('RATE_LIMIT_PER_MINUTE');

type Check = ReturnType<FastifyInstance['createRateLimit']>;

/**
 * Refuses a caller who has used up its requests of this minute: each principal has its own count, and so has each address
 * from which requests without a key come (an IPv6 network of 64 bits counts as one). Stands behind the guard that finds
 * out who asks. Counts are this instance's.
 */
@Injectable()
export class RateLimitGuard implements CanActivate {
  private check: Check | undefined;

  constructor(
    private readonly host: HttpAdapterHost,
    @Inject(RATE_LIMIT_PER_MINUTE) private readonly perMinute: number,
  ) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    if (this.perMinute === 0) return true;
    const request = context.switchToHttp().getRequest<AuthenticatedRequest>();
    const limit = await this.limiter(request);
    if (limit.isAllowed || !limit.isExceeded) return true;
    const who = request.principal ? 'this key' : 'this address';
    throw new Problem(
      'too_many_requests',
      `${who} has sent more than ${this.perMinute} requests within a minute; ask again in ${limit.ttlInSeconds} s`,
      { headers: { 'Retry-After': String(limit.ttlInSeconds) } },
    );
  }

  private get limiter(): Check {
    // The plugin is there only when the application is put together.
    return (this.check ??= this.host.httpAdapter.getInstance<FastifyInstance>().createRateLimit({
      max: this.perMinute,
      timeWindow: 60_000,
      keyGenerator: ({ principal, ip }: AuthenticatedRequest) =>
        principal ? `key ${principal.name}` : `address ${networkOf(ip)}`,
    }));
  }
}
