import fc from 'fast-check';

/** What a run of a task does, by the failures before it; behind the last it completes. `hold`: until a verb lets it go, or an abort. */
export const ENDS = ['complete', 'fail', 'give up', 'wait', 'hold'] as const;
export type End = (typeof ENDS)[number];

export const APPS = ['shop', 'billing', 'search'] as const;
export const WORKFLOWS = ['deploy', 'migrate'] as const;
/** Their limits never change: after a change, more may run for a while than it says. */
export const KEYS = {
  alone: { limit: 1, whenFull: 'queue' },
  pair: { limit: 2, whenFull: 'queue' },
  exclusive: { limit: 1, whenFull: 'reject' },
  latest: { limit: 1, whenFull: 'replace' },
} as const;
export type Key = keyof typeof KEYS;

/** `at`: one of the instances; `task`: one of the tasks so far, counted round. */
export type Verb =
  | {
      readonly verb: 'enqueue';
      readonly at: number;
      readonly app: (typeof APPS)[number];
      readonly workflow: (typeof WORKFLOWS)[number];
      readonly key: Key | null;
      readonly priority: 'urgent' | 'high' | 'medium' | 'low';
      readonly delayed: boolean;
      readonly maxAttempts: number;
      /** Without steps there is nothing to wait at, and nothing to clean up. */
      readonly steps: boolean;
      readonly ends: readonly End[];
      readonly copies: number;
    }
  | { readonly verb: 'cancel' | 'retry' | 'approve'; readonly at: number; readonly task: number }
  | { readonly verb: 'redrive' | 'discard' | 'cancel many'; readonly at: number; readonly app: (typeof APPS)[number] }
  | { readonly verb: 'pause' | 'resume'; readonly at: number; readonly scope: Scope }
  | { readonly verb: 'change'; readonly at: number; readonly workers: number; readonly draining: boolean }
  | { readonly verb: 'let go'; readonly task: number; readonly end: Exclude<End, 'hold'> }
  | { readonly verb: 'make due' }
  | { readonly verb: 'crash' | 'beat'; readonly at: number };

export type Scope = { readonly appName?: string; readonly workflowName?: string };

const at = fc.nat(2);
const task = fc.nat(10_000);
const app = fc.constantFrom(...APPS);
const scope: fc.Arbitrary<Scope> = fc.oneof(
  { weight: 5, arbitrary: app.map((appName) => ({ appName })) },
  { weight: 3, arbitrary: fc.constantFrom(...WORKFLOWS).map((workflowName) => ({ workflowName })) },
  { weight: 1, arbitrary: fc.constant({}) },
);
const enqueue = fc.record({
  verb: fc.constant('enqueue' as const),
  at,
  app,
  workflow: fc.constantFrom(...WORKFLOWS),
  key: fc.constantFrom(null, null, ...(Object.keys(KEYS) as Key[])),
  priority: fc.constantFrom('urgent' as const, 'high' as const, 'medium' as const, 'low' as const),
  delayed: fc.nat(4).map((n) => n === 0),
  maxAttempts: fc.integer({ min: 1, max: 4 }),
  steps: fc.boolean(),
  ends: fc.array(
    fc.oneof({ weight: 2, arbitrary: fc.constantFrom('fail' as const, 'wait' as const) }, fc.constantFrom(...ENDS)),
    { maxLength: 4 },
  ),
  copies: fc.integer({ min: 1, max: 4 }),
});

const verb: fc.Arbitrary<Verb> = fc.oneof(
  { weight: 12, arbitrary: enqueue },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('cancel' as const), at, task }) },
  { weight: 4, arbitrary: fc.record({ verb: fc.constantFrom('retry' as const, 'approve' as const), at, task }) },
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constantFrom('redrive' as const, 'redrive' as const, 'discard' as const, 'cancel many' as const),
      at,
      app,
    }),
  },
  { weight: 2, arbitrary: fc.record({ verb: fc.constant('pause' as const), at, scope }) },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('resume' as const), at, scope }) },
  {
    weight: 2,
    arbitrary: fc.record({
      verb: fc.constant('change' as const),
      at,
      workers: fc.nat(5),
      draining: fc.nat(5).map((n) => n === 0),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({
      verb: fc.constant('let go' as const),
      task,
      end: fc.constantFrom('complete' as const, 'fail' as const, 'give up' as const, 'wait' as const),
    }),
  },
  { weight: 5, arbitrary: fc.record({ verb: fc.constant('make due' as const) }) },
  { weight: 4, arbitrary: fc.record({ verb: fc.constant('crash' as const), at }) },
  { weight: 3, arbitrary: fc.record({ verb: fc.constant('beat' as const), at }) },
);

export const verbs = (length: number) => fc.array(verb, { minLength: length, maxLength: length });
