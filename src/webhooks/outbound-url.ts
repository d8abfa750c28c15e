import { Problem } from '../common/problem/problem.js';
import { type SafeFetch, SafeFetchError } from '../common/safe-fetch.js';

export const MAX_URL = 2_000;

/**
 * Throws a Problem where the address must not be called, or is that of no host. What only fails now is checked again at
 * every delivery.
 */
export async function checkOutboundUrl(http: SafeFetch, url: string, path: string): Promise<void> {
  let reason: string | undefined;
  if (url.length > MAX_URL) reason = `it has more than ${MAX_URL} characters`;
  else reason = await refusalOf(http, url);
  if (reason === undefined) return;
  const message = `'${path}' cannot be called: ${reason}`;
  const hint = 'Give an address with http: or https: that can be reached from the internet.';
  throw new Problem('invalid_parameter', message, { errors: [{ path, message, hint }] });
}

async function refusalOf(http: SafeFetch, url: string): Promise<string | undefined> {
  try {
    await http.check(url);
    return undefined;
  } catch (error) {
    if (!(error instanceof SafeFetchError)) throw error;
    const { code } = (error.cause ?? {}) as NodeJS.ErrnoException;
    return error.reason === 'refused' || code === 'ENOTFOUND' ? error.message : undefined;
  }
}
