import { SafeFetch, SafeFetchError, type SafeRequest, type SafeResponse } from '../common/safe-fetch.js';
import { DeliveryTimes } from './delivery-times.js';
import { newSecret } from './message.js';
import { Sender } from './sender.js';

const URL = 'https://a.test/hooks/secret-in-path-0123456789';

function setup(answer: Partial<SafeResponse> | Error) {
  const fetch = jest.fn(async (_url: string, _request: SafeRequest) => {
    if (answer instanceof Error) throw answer;
    return { status: 200, headers: {}, body: Buffer.from(''), truncated: false, url: URL, ...answer };
  });
  const sender = new Sender({ fetch } as unknown as SafeFetch, Object.assign(new DeliveryTimes(), { timeoutMs: 7 }));
  return { fetch, send: () => sender.send(URL, { id: 'msg_1', payload: '{}' }, [newSecret()]) };
}

describe('Sender', () => {
  it('posts a signed message within its time', async () => {
    const { fetch, send } = setup({ status: 202 });
    expect(await send()).toMatchObject({ status: 202, error: null, stopped: false });
    expect(fetch.mock.calls[0]).toMatchObject([URL, { method: 'POST', body: '{}', timeoutMs: 7 }]);
    expect(fetch.mock.calls[0]![1].headers).toMatchObject({ 'webhook-signature': expect.stringMatching(/^v1,/) });
  });

  it.each([
    [301, 'the endpoint answered 301; redirects are not followed'],
    [404, 'the endpoint answered 404'],
    [503, 'the endpoint answered 503'],
  ])('takes %i for a failure', async (status, error) => {
    expect(await setup({ status, headers: { 'retry-after': '9' } }).send()).toMatchObject({
      error,
      retryAfterMs: 9_000,
    });
  });

  it('keeps a part of the answer, without the address and without NUL', async () => {
    const text = `no\0thing at /hooks/secret-in-path-0123456789 ${'x'.repeat(5_000)}`;
    const { body } = await setup({ body: Buffer.from(text), truncated: true }).send();
    expect(body).toMatch(/^no\ufffdthing at \/hooks\/… x+$/);
    expect(body!.length).toBeLessThanOrEqual(1_024);
    const half = await setup({ body: Buffer.from('at /hooks/secret-in-pa'), truncated: true }).send();
    expect(half.body).not.toContain('secret');
  });

  it('says what kept an answer from coming, and whether this process did', async () => {
    const late = new SafeFetchError('it did not answer', 'timeout');
    expect(await setup(late).send()).toMatchObject({ status: null, error: 'it did not answer', stopped: false });
    expect(await setup(new SafeFetchError('stopped', 'aborted')).send()).toMatchObject({ stopped: true });
    expect((await setup(new Error('boom')).send()).error).toBe('the request could not be sent: Error: boom');
  });
});
