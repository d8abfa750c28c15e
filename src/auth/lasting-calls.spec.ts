import { EventEmitter } from 'node:events';
import type { ServerResponse } from 'node:http';
import { advance, useFakeTime } from '../../test/support/queue-doubles.js';
import { Settings } from '../config/settings.js';
import type { Authenticator } from './authenticator.js';
import { LastingCalls } from './lasting-calls.js';
import type { AuthenticatedRequest, Principal } from './principal.js';

const ANN: Principal = { name: 'ann', roles: ['viewer'] };

function setup(settings: Partial<Settings> = {}) {
  const isStill = jest.fn(async (_caller: Principal, _authorization?: string) => true);
  const calls = new LastingCalls({ isStill } as unknown as Authenticator, Object.assign(new Settings(), settings));
  const begin = (principal = ANN) => {
    const raw = Object.assign(new EventEmitter(), { destroyed: false });
    const request = { principal, headers: { authorization: 'Bearer x' } } as unknown as AuthenticatedRequest;
    const over = calls.begin(request, raw as unknown as ServerResponse);
    return { raw, over };
  };
  return { begin, calls, isStill };
}

describe('LastingCalls', () => {
  beforeEach(useFakeTime);
  afterEach(() => void jest.useRealTimers());

  it('ends an answer within a heartbeat of the end of its caller´s rights', async () => {
    const { begin, isStill } = setup();
    const { over } = begin();
    await advance(15_000);
    expect(isStill).toHaveBeenCalledWith(ANN, 'Bearer x');
    expect(over.aborted).toBe(false);
    isStill.mockResolvedValue(false);
    await advance(15_000);
    expect(over.aborted).toBe(true);
    expect(over.reason).toMatchObject({ code: 'unauthorized' });
    await advance(60_000);
    expect(isStill).toHaveBeenCalledTimes(2);
  });

  it('looks no more when the answer is over', async () => {
    const { begin, isStill } = setup();
    const { raw, over } = begin();
    raw.emit('close');
    await advance(60_000);
    expect(isStill).not.toHaveBeenCalled();
    expect(over.aborted).toBe(false);
  });

  it('gives each caller so many at a time', () => {
    const { begin } = setup({ MAX_OPEN_ANSWERS: 2 });
    const first = begin();
    begin();
    const refused = { code: 'too_many_requests', headers: { 'Retry-After': '5' } };
    expect(() => begin()).toThrow(expect.objectContaining(refused));
    begin({ ...ANN, name: 'bob' });
    first.raw.emit('close');
    begin();
    expect(() => begin()).toThrow(expect.objectContaining(refused));
  });

  it('sets no limit with 0', () => {
    const { begin } = setup({ MAX_OPEN_ANSWERS: 0 });
    for (let n = 0; n < 1_000; n++) expect(begin().over.aborted).toBe(false);
  });

  it('counts nobody who has hung up before', () => {
    const { begin, calls } = setup({ MAX_OPEN_ANSWERS: 1 });
    const raw = Object.assign(new EventEmitter(), { destroyed: true }) as unknown as ServerResponse;
    calls.begin({ principal: ANN, headers: {} } as unknown as AuthenticatedRequest, raw);
    begin();
  });
});
