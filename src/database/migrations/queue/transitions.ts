/**
 * The legal transitions as this migration stores them. A migration must not change when the code does, so these stand
 * here once more; a test compares the table with `task-status.ts`.
 */
export const LEGAL_TRANSITIONS_AT_1: readonly (readonly [string, string])[] = [
  ['scheduled', 'pending'],
  ['scheduled', 'cancelled'],
  ['pending', 'running'],
  ['pending', 'cancelled'],
  ['running', 'completed'],
  ['running', 'waiting'],
  ['running', 'retrying'],
  ['running', 'failed'],
  ['running', 'cancelled'],
  ['running', 'pending'],
  ['waiting', 'pending'],
  ['waiting', 'cancelled'],
  ['retrying', 'pending'],
  ['retrying', 'cancelled'],
  ['completed', 'pending'],
  ['failed', 'pending'],
  ['cancelled', 'pending'],
];
