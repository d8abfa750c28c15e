import { SafeFetch, SafeFetchError } from '../common/safe-fetch.js';
import { checkOutboundUrl } from './outbound-url.js';

describe('an outbound address', () => {
  const fails = (reason: SafeFetchError['reason'], code: string) => {
    const error = new SafeFetchError('it does not answer', reason, { cause: Object.assign(new Error(), { code }) });
    return { check: () => Promise.reject(error) } as unknown as SafeFetch;
  };

  it('is refused where it must not be called, or is nobody', async () => {
    for (const http of [fails('refused', ''), fails('network', 'ENOTFOUND')]) {
      await expect(checkOutboundUrl(http, 'http://a.test', 'url')).rejects.toMatchObject({
        code: 'invalid_parameter',
        detail: `'url' cannot be called: it does not answer`,
      });
    }
    await expect(checkOutboundUrl(new SafeFetch(), `http://a.test/${'x'.repeat(2_000)}`, 'url')).rejects.toThrow();
  });

  it('is taken where the name server is away: it is checked again at every delivery', async () => {
    await expect(checkOutboundUrl(fails('network', 'EAI_AGAIN'), 'http://a.test', 'url')).resolves.toBeUndefined();
  });
});
