import { EventEmitter } from 'node:events';
import type pg from 'pg';
import {
  advance,
  mockSleep,
  sqlError,
  standIn,
  useFakeTime,
  watch as note,
} from '../../../test/support/queue-doubles.js';

mockSleep();
const { HostProbe } = await import('./host-probe.js');

type Answer = 'never' | Error | object;

/** A probe whose connections answer its two questions as the test says. */
function setup() {
  const answers: { writes: Answer; timeline: Answer } = { writes: { writes: true }, timeline: { timeline: '7' } };
  const asked: string[] = [];
  const clients: { destroy: jest.Mock }[] = [];
  const newClient = () => {
    const destroy = jest.fn();
    clients.push({ destroy });
    return standIn<pg.Client>(
      Object.assign(new EventEmitter(), {
        connect: async () => undefined,
        unref: () => undefined,
        connection: { stream: { destroy } },
        query: async (sql: string) => {
          const question = sql.includes('timeline') ? 'timeline' : 'writes';
          asked.push(question);
          const answer = answers[question];
          if (answer instanceof Error) throw answer;
          return answer === 'never' ? new Promise(() => undefined) : { rows: [answer] };
        },
      }),
    );
  };
  const probe = new HostProbe({ host: 'a', port: 5432 }, newClient, 2_000);
  return { probe, answers, asked, clients };
}

describe('HostProbe', () => {
  beforeEach(useFakeTime);
  afterEach(() => jest.useRealTimers());

  it('asks over one connection for the role and the timeline', async () => {
    const { probe, answers, clients } = setup();
    expect(await probe.ask()).toEqual({ role: 'primary' });
    expect(await probe.timeline()).toBe(7);
    answers.writes = { writes: false };
    expect(await probe.ask()).toEqual({ role: 'standby' });
    expect(clients.length).toBe(1);
  });

  it.each(['writes', 'timeline'] as const)(
    'ends the connection to a host that freezes when asked: %s',
    async (question) => {
      const { probe, answers, clients } = setup();
      await probe.ask();
      answers[question] = 'never';
      const asking = note(question === 'writes' ? probe.ask() : probe.timeline());
      await advance(1_999);
      expect([asking.state, clients[0]!.destroy.mock.calls.length]).toEqual(['pending', 0]);
      await advance(1);
      const late = { role: 'silent', error: new Error('no answer within 2000 ms') };
      expect(asking.value).toEqual(question === 'writes' ? late : -1);
      expect(clients[0]!.destroy).toHaveBeenCalledTimes(1);
      answers[question] = question === 'writes' ? { writes: true } : { timeline: '8' };
      expect([await probe.ask(), await probe.timeline(), clients.length]).toEqual([
        { role: 'primary' },
        question === 'writes' ? 7 : 8,
        2,
      ]);
    },
  );

  it('leaves no timer behind', async () => {
    const { probe } = setup();
    await probe.ask();
    await probe.timeline();
    expect(jest.getTimerCount()).toBe(0);
  });

  it('asks a server that keeps its timeline to itself once only, and one that failed again', async () => {
    const { probe, answers, asked } = setup();
    expect(await probe.timeline()).toBe(-1);
    await probe.ask();
    answers.timeline = sqlError('57014');
    expect([await probe.timeline(), await probe.timeline()]).toEqual([-1, -1]);
    expect(asked.filter((question) => question === 'timeline').length).toBe(2);
    answers.timeline = sqlError('42501');
    expect([await probe.timeline(), await probe.timeline()]).toEqual([-1, -1]);
    expect(asked.filter((question) => question === 'timeline').length).toBe(3);
    probe.close();
    await probe.ask();
    answers.timeline = { timeline: '9' };
    expect(await probe.timeline()).toBe(9);
  });
});
