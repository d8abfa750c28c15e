import { parseDuration } from '../common/duration.js';
import type { Decision } from '../queue/task-handler.js';

/** What a step waits for, as its row keeps it for those who decide. */
export interface Approval {
  readonly message?: string;
  /** Who may decide; undefined for everybody. */
  readonly approvers?: readonly string[];
  /** So many different people must approve; one rejection is enough. */
  readonly count: number;
  /** Whoever submitted the task may not decide. */
  readonly notSubmitter: boolean;
  /** What counts when the time is up. */
  readonly default: 'approve' | 'reject';
}

export type Verdict =
  | { readonly approved: true; readonly by: readonly string[]; readonly comment: string }
  | { readonly approved: false; readonly why: string };

/** An approval, and the seconds within which it must be given (null: no limit). */
export interface WantedApproval {
  readonly approval: Approval;
  readonly seconds: number | null;
}

/** `when: manual`: any one person lets the step begin. */
export const MANUAL_APPROVAL: WantedApproval = {
  approval: { count: 1, notSubmitter: false, default: 'reject' },
  seconds: null,
};

/** The config of an approval step, its references resolved; throws with a sentence where a value is unfit. */
export function approvalOf(config: Readonly<Record<string, unknown>>): WantedApproval {
  const { message, approvers, count = 1, timeout, not_submitter: notSubmitter, default: byDefault = 'reject' } = config;
  const milliseconds = typeof timeout === 'string' ? parseDuration(timeout) : Number(timeout) * 1_000;
  if (timeout !== undefined && !(Number(milliseconds) > 0))
    throw new Error(`has no valid timeout: ${JSON.stringify(timeout)}`);
  return {
    approval: {
      ...(typeof message === 'string' ? { message } : {}),
      ...(Array.isArray(approvers) ? { approvers: approvers.map(String) } : {}),
      count: Number(count),
      notSubmitter: notSubmitter === true || notSubmitter === 'true',
      default: byDefault === 'approve' ? 'approve' : 'reject',
    },
    seconds: timeout === undefined ? null : milliseconds! / 1_000,
  };
}

/** Undefined while nothing is decided. `secondsLeft`: until the deadline, null for none. */
export function verdictOf(
  approval: Approval,
  decisions: readonly Decision[],
  secondsLeft: number | null,
): Verdict | undefined {
  const rejection = decisions.find(({ decision }) => decision === 'reject');
  if (rejection) {
    const { actor, comment } = rejection;
    return { approved: false, why: `rejected by ${actor}${comment === null ? '' : `: ${comment}`}` };
  }
  const comment = decisions.flatMap((decision) => decision.comment ?? []).join('\n');
  const by = [...new Set(decisions.map(({ actor }) => actor))];
  if (by.length >= approval.count) return { approved: true, by, comment };
  if (secondsLeft === null || secondsLeft > 0) return undefined;
  if (approval.default === 'approve') return { approved: true, by, comment };
  const missing = `${by.length} of ${approval.count} approvals`;
  return { approved: false, why: `nobody decided in time (${missing}): that counts as a rejection` };
}

/** Why somebody may not decide; undefined where they may. */
export function barTo(approval: Approval, actor: string, submitter: unknown): string | undefined {
  if (approval.notSubmitter && actor === submitter) {
    return `'${actor}' submitted the task, and this step asks for somebody else's decision`;
  }
  if (approval.approvers && !approval.approvers.includes(actor)) {
    return `'${actor}' is none of those who may decide: ${approval.approvers.join(', ')}`;
  }
  return undefined;
}
