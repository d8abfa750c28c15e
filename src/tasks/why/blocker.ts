import type { QueueTaskDecision, QueueTaskStep } from '../../queue/queue-task-records.entity.js';
import type { QueueTask } from '../../queue/queue-task.entity.js';
import type { Line, PauseInForce } from '../../queue/store/line-store.js';
import { COUNTED } from '../../queue/store/line.sql.js';
import type { Approval } from '../../workflows/approval.js';
import type { Blocker } from './why.dto.js';

export interface Standing {
  readonly task: Pick<QueueTask, 'status' | 'runAt' | 'attempt' | 'errorMessage' | 'crashes'>;
  readonly line: Line;
  readonly steps: readonly QueueTaskStep[];
  readonly decisions: readonly QueueTaskDecision[];
}

/** The one thing that a task which neither runs nor has ended waits for; the first that holds of these. */
export function blockerOf(standing: Standing): Blocker {
  const { task, line } = standing;
  if (task.status === 'waiting') return approval(standing);
  if (task.status !== 'pending') return due(standing);
  if (line.leased_to !== null) return taken(line.leased_to, task.crashes);
  if (line.pause) return paused(line.pause);
  if (line.blocked === 'key') return keyHeld(line);
  return turn(line);
}

function turn({ workers, busy, before }: Line): Blocker {
  if (workers === 0) {
    return {
      code: 'no_live_worker',
      message: 'no living instance has workers that take tasks (all are gone, or drain)',
    };
  }
  if (busy >= workers) {
    return { code: 'all_busy', message: `all workers are busy: ${busy} of ${workers}`, workers, busy };
  }
  if (!before) return { code: 'next', message: 'it is the next to be taken by a free worker', workers, busy };
  const tasks =
    before >= COUNTED ? `more than ${COUNTED} tasks are` : before === 1 ? 'one task is' : `${before} tasks are`;
  return { code: 'ready', message: `${tasks} taken before it by ${workers - busy} free workers`, workers, busy };
}

function taken(instance: string, crashes: number): Blocker {
  const when =
    crashes > 0
      ? `when nothing else runs there, or has not ended for a while: it has cost ${crashes} crashes`
      : 'with its next free worker';
  return { code: 'taken', message: `instance ${instance} has it, and begins it ${when}`, instance };
}

function paused({ app_name, workflow_name, by, reason, since }: PauseInForce): Blocker {
  const [scope, name] =
    app_name !== null ? ['app', app_name] : workflow_name !== null ? ['workflow', workflow_name] : ['queue', undefined];
  const what = name === undefined ? 'the queue' : `${scope === 'app' ? 'application' : 'workflow'} '${name}'`;
  const message = `${what} is paused by ${by} since ${since}${reason === null ? '' : `: ${reason}`}`;
  return { code: 'paused', message, scope, ...(name === undefined ? {} : { name }), by, reason, since };
}

function keyHeld({ key, slots, holders, before_for_key: before }: Line): Blocker {
  const limit = slots ?? 1;
  const held = [...(holders ?? [])];
  const by = held.length > 0 ? `by ${held.join(', ')}` : 'by tasks that wait before it';
  const rest = before ? `; ${before >= COUNTED ? `more than ${COUNTED}` : before} more wait before it` : '';
  const message = `concurrency key '${key}' (at most ${limit} at once) is held ${by}${rest}`;
  return { code: 'key_held', message, key: key ?? '', limit, held_by: held, before_for_key: before ?? 0 };
}

function due({ task, line }: Standing): Blocker {
  const run_at = line.due_at instanceof Date ? line.due_at : task.runAt;
  const when = run_at.toISOString();
  if (task.status === 'retrying') {
    const after = task.errorMessage === null ? '' : ` after: ${task.errorMessage}`;
    return {
      code: 'due_at',
      message: `it is tried again at ${when}, after attempt ${task.attempt} failed${after}`,
      run_at,
    };
  }
  return { code: 'due_at', message: `it may not run before ${when}`, run_at };
}

function approval({ steps, decisions, line }: Standing): Blocker {
  const [step, ...others] = steps.filter(({ status }) => status === 'waiting');
  if (!step) {
    const deadline = line.due_at instanceof Date ? line.due_at : null;
    return { code: 'waiting_for_approval', message: 'it waits for somebody to decide', deadline };
  }
  const {
    count = 1,
    approvers = null,
    message,
  } = (step.waitsFor ?? {}) as unknown as Partial<Approval> & { approvers?: string[] };
  const since = step.startedAt;
  const made = decisions.filter(
    ({ step: name, at, decision }) => name === step.name && decision === 'approve' && (since === null || at >= since),
  ).length;
  const whose = approvers === null ? 'somebody' : approvers.join(' or ');
  const text = message === undefined ? '' : `: ${message}`;
  return {
    code: 'waiting_for_approval',
    message: `step '${step.name}' waits for ${whose} to decide (${made} of ${count} approvals)${text}`,
    step: step.name,
    other_steps: others.map(({ name }) => name),
    approvers: approvers,
    approvals: made,
    approvals_needed: count,
    since,
    deadline: step.deadline,
  };
}
