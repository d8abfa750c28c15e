import { EventEmitter } from 'node:events';
import type pg from 'pg';
import {
  advance,
  mockSleep,
  recordLogs,
  standIn,
  useFakeTime,
  watch as note,
} from '../../../test/support/queue-doubles.js';
import type { HostAnswer, HostProbe } from './host-probe.js';

mockSleep();
const { PrimaryWatch } = await import('./primary-watch.js');

const silent = (message: string, code?: string): HostAnswer => ({
  role: 'silent',
  error: Object.assign(new Error(message), { code }),
});
const PRIMARY: HostAnswer = { role: 'primary' };
const STANDBY: HostAnswer = { role: 'standby' };

const TIMEOUT_MS = 2_000;

/** Hosts a, b, … that answer as the test says, and as late; `never` does not answer at all. */
function setup(...answers: (HostAnswer | 'never')[]) {
  const timelines: number[] = answers.map(() => 1);
  const delays: number[] = answers.map(() => 0);
  const probes = answers.map((_, n) => ({
    host: { host: 'abc'[n]!, port: 5432 },
    ask: jest.fn(async () => {
      const answer = answers[n]!;
      if (delays[n]! > 0) await new Promise((resolve) => setTimeout(resolve, delays[n]));
      return answer === 'never' ? new Promise<HostAnswer>(() => undefined) : answer;
    }),
    timeline: jest.fn(async () => timelines[n]!),
    close: jest.fn(),
  }));
  const watch = new PrimaryWatch(
    probes.map((probe) => standIn<HostProbe>(probe)),
    TIMEOUT_MS,
  );
  const connect = async () => {
    const finding = watch.find();
    await advance(1_000);
    const host = await finding;
    const destroy = jest.fn(() => void setImmediate(() => client.emit('end')));
    const client = Object.assign(new EventEmitter(), { connection: { stream: { destroy } } });
    watch.add(standIn<pg.Client>(client), host);
    return { host: host.host, client, destroy };
  };
  return { watch, probes, answers, timelines, delays, connect };
}

describe('PrimaryWatch', () => {
  let logs: ReturnType<typeof recordLogs>;
  beforeEach(() => {
    useFakeTime();
    logs = recordLogs();
  });
  afterEach(() => {
    jest.useRealTimers();
    jest.restoreAllMocks();
  });

  it('finds the primary, whichever place it has in the list, and asks once for all who seek it', async () => {
    const { watch, probes } = setup(STANDBY, PRIMARY);
    const found = await Promise.all([watch.find(), watch.find()]);
    expect(found.map(({ host }) => host)).toEqual(['b', 'b']);
    expect((await watch.find()).host).toBe('b');
    expect(probes[0]!.ask.mock.calls.length).toBeLessThanOrEqual(2);
  });

  it('waits a moment only for hosts that do not answer, once the primary it knows has', async () => {
    const { watch, answers, connect } = setup(STANDBY, PRIMARY);
    await connect();
    answers[0] = 'never';
    watch.doubt(await watch.find());
    const finding = note(watch.find());
    await advance(800);
    expect(finding.value).toMatchObject({ host: 'b' });
  });

  it('waits for all hosts while it knows of no primary: the one promoted last may be the slowest', async () => {
    const { watch, timelines, delays } = setup(PRIMARY, PRIMARY);
    Object.assign(timelines, [1, 2]);
    delays[1] = 1_900;
    const finding = note(watch.find());
    await advance(1_899);
    expect(finding.state).toBe('pending');
    await advance(1);
    expect(finding.value).toMatchObject({ host: 'b' });
  });

  it('stays with a promoted primary that takes its time, when the old one comes back', async () => {
    const { watch, answers, timelines, delays, connect } = setup(silent('connect ECONNREFUSED'), PRIMARY);
    timelines[1] = 2;
    const { destroy } = await connect();
    answers[0] = PRIMARY;
    delays[1] = 600;
    await advance(5_000);
    expect(destroy).not.toHaveBeenCalled();
    expect((await watch.find()).host).toBe('b');
  });

  it('does not follow an old primary while the one promoted after it is silent', async () => {
    const { watch, answers, timelines, delays, connect } = setup(silent('connect ECONNREFUSED'), PRIMARY);
    timelines[1] = 2;
    const { destroy } = await connect();
    Object.assign(answers, [PRIMARY, silent('no answer within 2000 ms')]);
    delays[1] = 2_000;
    await advance(10_000);
    const failing = note(watch.find());
    await advance(3_000);
    expect(failing.value).toMatchObject({
      code: '08001',
      message:
        'no host of DATABASE_URL takes writes: a:5432 (an old primary on timeline 1, where 2 has been seen: make it a standby, ' +
        'or restart Turnpike if it is the right one), b:5432 (no answer within 2000 ms)',
    });
    expect(destroy).not.toHaveBeenCalled();
    timelines[0] = 3;
    await advance(5_000);
    expect(destroy).toHaveBeenCalledTimes(1);
    expect((await connect()).host).toBe('a');
  });

  it('lets go of its primary when that turns out to be an old one', async () => {
    const { watch, answers, timelines, connect } = setup(PRIMARY, STANDBY);
    const { destroy } = await connect();
    timelines[0] = -1;
    Object.assign(answers, { 1: PRIMARY });
    timelines[1] = 2;
    await advance(1_500);
    expect(destroy).not.toHaveBeenCalled();
    timelines[0] = 1;
    answers[1] = silent('connect ECONNREFUSED');
    await advance(1_000);
    expect(destroy).toHaveBeenCalledTimes(1);
    const failing = note(watch.find());
    await advance(100);
    expect(failing.value).toMatchObject({ message: expect.stringContaining('a:5432 (an old primary on timeline 1') });
  });

  it('follows whatever the only host is, on whichever timeline', async () => {
    const { answers, timelines, connect } = setup(PRIMARY);
    timelines[0] = 2;
    await connect();
    answers[0] = silent('connect ECONNREFUSED');
    await advance(3_000);
    Object.assign(answers, [PRIMARY]);
    timelines[0] = 1;
    await advance(3_000);
    expect((await connect()).host).toBe('a');
  });

  it('gives up on hosts that do not even time out', async () => {
    const { watch } = setup('never', PRIMARY);
    const failing = note(watch.find());
    await advance(2 * TIMEOUT_MS + 100);
    expect(failing.value).toMatchObject({ code: '08001', message: expect.stringContaining('a:5432 (no answer yet)') });
  });

  it('says of each host why it is not the primary, with the code of a connection that cannot be made', async () => {
    const { watch } = setup(silent('connect ECONNREFUSED'), STANDBY);
    await expect(watch.find()).rejects.toMatchObject({
      code: '08001',
      message: 'no host of DATABASE_URL takes writes: a:5432 (connect ECONNREFUSED), b:5432 (a standby, or read-only)',
    });
  });

  it('tells a wrong password as what it is', async () => {
    const { watch } = setup(silent('connect ECONNREFUSED'), silent('password authentication failed', '28P01'));
    await expect(watch.find()).rejects.toMatchObject({ code: '28P01' });
  });

  it('cuts the connections to a primary that has become a standby, before there is a new one', async () => {
    const { watch, answers, connect } = setup(PRIMARY, STANDBY);
    const { destroy } = await connect();
    answers[0] = STANDBY;
    await advance(2_000);
    expect(destroy).toHaveBeenCalledTimes(1);
    const failing = note(watch.find());
    await advance(100);
    expect(failing.value).toMatchObject({ code: '08001' });
    answers[1] = PRIMARY;
    expect((await connect()).host).toBe('b');
    expect(logs).toMatchObject([
      { level: 'warn', msg: expect.stringMatching(/^no host of DATABASE_URL takes writes/) },
      { level: 'warn', msg: "The database's primary is b:5432 now", was: 'a:5432' },
    ]);
  });

  it('keeps connections to a primary that is silent, and cuts them when another host was promoted', async () => {
    const { answers, connect } = setup(PRIMARY, STANDBY);
    const { destroy } = await connect();
    answers[0] = silent('no answer within 2000 ms');
    await advance(5_000);
    expect(destroy).not.toHaveBeenCalled();
    answers[1] = PRIMARY;
    await advance(2_000);
    expect(destroy).toHaveBeenCalledTimes(1);
    expect((await connect()).host).toBe('b');
  });

  it('says when the same primary is back', async () => {
    const { answers, connect } = setup(PRIMARY, STANDBY);
    await connect();
    answers[0] = silent('connect ECONNREFUSED');
    await advance(3_000);
    answers[0] = PRIMARY;
    await advance(2_000);
    expect(logs).toMatchObject([{ level: 'warn' }, { level: 'log', msg: "The database's primary is back: a:5432" }]);
  });

  it('stays with the one that was promoted last, where an old primary comes back by itself', async () => {
    const { answers, timelines, connect } = setup(silent('connect ECONNREFUSED'), PRIMARY);
    timelines[1] = 2;
    const first = await connect();
    answers[0] = PRIMARY;
    await advance(3_000);
    expect([first.host, first.destroy.mock.calls.length]).toEqual(['b', 0]);
  });

  it('moves to one that was promoted while the old primary lives on elsewhere', async () => {
    const { answers, timelines, connect } = setup(PRIMARY, STANDBY);
    const { host, destroy } = await connect();
    answers[1] = PRIMARY;
    timelines[1] = 2;
    await advance(3_000);
    expect([host, destroy.mock.calls.length]).toEqual(['a', 1]);
    expect((await connect()).host).toBe('b');
  });

  it('stays where it is between primaries that cannot be told apart', async () => {
    const { answers, timelines, connect } = setup(STANDBY, PRIMARY);
    timelines.fill(-1);
    const { destroy } = await connect();
    answers[0] = PRIMARY;
    await advance(3_000);
    expect(destroy).not.toHaveBeenCalled();
  });

  it('stays where it is when its timeline could not be read once', async () => {
    const { watch, answers, timelines, connect } = setup(PRIMARY, STANDBY);
    const { destroy } = await connect();
    answers[1] = PRIMARY;
    timelines[0] = -1;
    await advance(1_500);
    timelines[0] = 1;
    await advance(1_500);
    expect(destroy).not.toHaveBeenCalled();
    expect((await watch.find()).host).toBe('a');
  });

  it('does not follow one whose timeline cannot be read, where those of others could', async () => {
    const { watch, answers, timelines, connect } = setup(PRIMARY, STANDBY);
    await connect();
    Object.assign(answers, [silent('connect ECONNREFUSED'), PRIMARY]);
    timelines[1] = -1;
    await advance(3_000);
    const failing = note(watch.find());
    await advance(100);
    expect(failing.value).toMatchObject({ message: expect.stringContaining('b:5432 (its timeline cannot be read)') });
    timelines[1] = 2;
    expect((await connect()).host).toBe('b');
  });

  it('asks again at once after a connection failed', async () => {
    const { watch, answers, connect } = setup(PRIMARY, STANDBY);
    await connect();
    Object.assign(answers, [silent('connect ECONNREFUSED'), PRIMARY]);
    watch.doubt({ host: 'c', port: 1 });
    expect((await watch.find()).host).toBe('a');
    watch.doubt(await watch.find());
    const finding = note(watch.find());
    await advance(100);
    expect(finding.value).toMatchObject({ host: 'b' });
  });

  it('rests when the last connection has ended, and looks again for the next', async () => {
    const { probes, connect } = setup(PRIMARY, STANDBY);
    const { client } = await connect();
    client.emit('end');
    const asked = () => probes[0]!.ask.mock.calls.length;
    const before = asked();
    expect(probes[0]!.close).toHaveBeenCalled();
    await advance(10_000);
    expect(asked()).toBe(before);
    await connect();
    expect(asked()).toBeGreaterThan(before);
  });
});
