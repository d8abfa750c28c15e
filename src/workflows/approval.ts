import type { Decision } from '../queue/task-handler.js';
import { durationMs } from './step-formats.js';
import type { StepConfig } from './step-runner.js';

/** What a step waits for, as its row keeps it for those who decide. */
export interface Approval {
  readonly message?: string;
  /** Who may decide, by name or as `role:<role>`; undefined for everybody. */
  readonly approvers?: readonly string[];
  /** So many different people must approve; one rejection is enough. */
  readonly count: number;
  /** Whoever submitted the task may not approve. */
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

/** What stands in the config of an approval step, as its schema has it. */
interface ApprovalConfig {
  readonly message?: string;
  readonly approvers?: readonly string[];
  readonly count?: number;
  readonly timeout?: number | string;
  readonly not_submitter?: boolean;
  readonly default?: 'approve' | 'reject';
}

/** The config of an approval step, its references resolved and checked. */
export function approvalOf(config: StepConfig): WantedApproval {
  const { message, approvers, count = 1, timeout, not_submitter: notSubmitter = false } = config as ApprovalConfig;
  return {
    approval: {
      ...(message === undefined ? {} : { message }),
      ...(approvers === undefined ? {} : { approvers }),
      ...{ count, notSubmitter, default: (config as ApprovalConfig).default ?? 'reject' },
    },
    seconds: timeout === undefined ? null : durationMs(timeout) / 1_000,
  };
}

/** What settled the matter first; undefined while nothing is decided. `secondsLeft`: until the deadline, null for none. */
export function verdictOf(
  approval: Approval,
  decisions: readonly Decision[],
  secondsLeft: number | null,
): Verdict | undefined {
  const by = new Set<string>();
  const comments: string[] = [];
  for (const { decision, actor, comment } of decisions) {
    if (decision === 'reject') {
      return { approved: false, why: `rejected by ${actor}${comment === null ? '' : `: ${comment}`}` };
    }
    by.add(actor);
    if (comment !== null) comments.push(comment);
    if (by.size >= approval.count) break;
  }
  const approved = { approved: true, by: [...by], comment: comments.join('\n') } as const;
  if (by.size >= approval.count) return approved;
  if (secondsLeft === null || secondsLeft > 0) return undefined;
  if (approval.default === 'approve') return approved;
  const missing = `${by.size} of ${approval.count} approvals`;
  return { approved: false, why: `nobody decided in time (${missing}): that counts as a rejection` };
}

/** Before the name of a role among approvers; no caller's name has a colon there. */
export const ROLE_MARK = 'role:';

/** Why somebody may not decide so; undefined where they may. Whoever submitted a task may always reject it. */
export function barTo(
  approval: Approval,
  decision: Decision['decision'],
  { actor, roles = [] }: { readonly actor: string; readonly roles?: readonly string[] },
  /** Who submitted the task, or a correction of it. */
  submitters: readonly unknown[],
): string | undefined {
  if (approval.notSubmitter && decision === 'approve' && submitters.includes(actor)) {
    return `'${actor}' submitted the task, and this step asks for somebody else's approval`;
  }
  const isNamed = (entry: string) => entry === actor || roles.some((role) => entry === ROLE_MARK + role);
  if (approval.approvers && !approval.approvers.some(isNamed)) {
    return `'${actor}' is none of those who may decide: ${approval.approvers.join(', ')}`;
  }
  return undefined;
}
