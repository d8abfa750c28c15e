import type { ServerResponse } from 'node:http';
import { Injectable } from '@nestjs/common';
import { HEARTBEAT_MS } from '../common/http/server-events.js';
import { Problem } from '../common/problem/problem.js';
import { Settings } from '../config/settings.js';
import { Authenticator } from './authenticator.js';
import type { AuthenticatedRequest } from './principal.js';

/** Somebody may end one, or it ends by itself. */
const RETRY_SECONDS = 5;

/**
 * Calls whose answers go on for as long as something happens: counted by caller, since each holds a connection, and ended
 * with the rights that they were let in by.
 */
@Injectable()
export class LastingCalls {
  private readonly open = new Map<string, number>();

  constructor(
    private readonly authenticator: Authenticator,
    private readonly settings: Settings,
  ) {}

  /**
   * To be called before such an answer. The signal is aborted, with a Problem, some seconds after the caller's key was
   * revoked, has expired or may something else. Throws a Problem (429) where the caller has too many open.
   */
  begin({ principal, headers }: AuthenticatedRequest, raw: Pick<ServerResponse, 'once' | 'destroyed'>): AbortSignal {
    if (!principal) throw new Error('an answer that lasts is given on a route that the guard does not see');
    const over = new AbortController();
    // Its caller has hung up already.
    if (raw.destroyed) return over.signal;
    const close = this.count(principal.name);
    let timer: NodeJS.Timeout | undefined;
    let closed = false;
    const look = async () => {
      const still = await this.authenticator.isStill(principal, headers.authorization);
      if (closed) return;
      if (still) wait();
      else over.abort(new Problem('unauthorized', 'the key has ended, or may something else than when this was begun'));
    };
    const wait = () => (timer = setTimeout(() => void look(), HEARTBEAT_MS).unref());
    wait();
    raw.once('close', () => {
      closed = true;
      clearTimeout(timer);
      close();
    });
    return over.signal;
  }

  private count(name: string): () => void {
    const most = this.settings.MAX_OPEN_ANSWERS;
    const open = this.open.get(name) ?? 0;
    if (most > 0 && open >= most) {
      const message = `'${name}' has ${open} answers open here that wait or go on (?wait=, logs, streams): end some of them`;
      throw new Problem('too_many_requests', message, { headers: { 'Retry-After': String(RETRY_SECONDS) } });
    }
    this.open.set(name, open + 1);
    return () => {
      const rest = this.open.get(name)! - 1;
      if (rest > 0) this.open.set(name, rest);
      else this.open.delete(name);
    };
  }
}
