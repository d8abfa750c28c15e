import { Inject, Injectable } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { Problem } from '../common/problem/problem.js';
import { Authenticator } from './authenticator.js';
import { networkOf } from './login-failures.js';
import { RATE_LIMIT_PER_MINUTE } from './rate-limit.guard.js';

type Check = ReturnType<FastifyInstance['createRateLimit']>;

/** Their requests have no body to speak of, and the guard refuses them soon enough. */
const WITHOUT_BODY = new Set(['GET', 'HEAD', 'OPTIONS']);

/**
 * Counts, by address, the requests of callers who are not known: no other limit sees them, for they get no further than the
 * guard. An address that has used up its minute is refused before a body is read; a good key is let in from there, too.
 */
@Injectable()
export class RefusedRequests {
  private check: Check | undefined;

  constructor(
    private readonly host: HttpAdapterHost,
    @Inject(RATE_LIMIT_PER_MINUTE) private readonly perMinute: number,
    private readonly authenticator: Authenticator,
  ) {}

  /** Counts one. The Problem it is to be answered with, where there were too many. */
  async count(request: FastifyRequest): Promise<Problem | undefined> {
    return this.perMinute === 0 ? undefined : this.problemOf(await this.limiter(request));
  }

  /** Throws the same before the body is read. */
  async lookAhead(request: FastifyRequest): Promise<void> {
    if (this.perMinute === 0 || WITHOUT_BODY.has(request.method)) return;
    const problem = this.problemOf(await this.limiter(request, { increment: false }));
    if (!problem || (await this.isKnown(request))) return;
    throw problem;
  }

  private async isKnown({ headers, ip }: FastifyRequest): Promise<boolean> {
    try {
      await this.authenticator.authenticate(headers.authorization, ip);
      return true;
    } catch (error) {
      if (isRefusal(error)) return false;
      throw error;
    }
  }

  private problemOf(limit: Awaited<ReturnType<Check>>): Problem | undefined {
    if (limit.isAllowed || !limit.isExceeded) return undefined;
    const message =
      `this address has sent more than ${this.perMinute} requests within a minute without a key that is known; ` +
      `ask again in ${limit.ttlInSeconds} s`;
    return new Problem('too_many_requests', message, { headers: { 'Retry-After': String(limit.ttlInSeconds) } });
  }

  private get limiter(): Check {
    // The plugin is there only when the application is put together.
    return (this.check ??= this.host.httpAdapter.getInstance<FastifyInstance>().createRateLimit({
      max: this.perMinute,
      timeWindow: 60_000,
      keyGenerator: ({ ip }: FastifyRequest) => `refused ${networkOf(ip)}`,
    }));
  }
}

/** The caller is not known, or has not been so often that it is to wait. */
export function isRefusal(error: unknown): boolean {
  return error instanceof Problem && (error.code === 'unauthorized' || error.code === 'too_many_requests');
}
