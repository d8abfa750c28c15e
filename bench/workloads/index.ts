import { bulkEnqueue } from './bulk-enqueue.ts';
import { drain } from './drain.ts';
import { enqueue } from './enqueue.ts';
import { finishedRows } from './finished-rows.ts';
import { http } from './http.ts';
import { idleLatency } from './idle-latency.ts';
import { keys } from './keys.ts';
import { lists } from './lists.ts';
import { memory } from './memory.ts';
import { workerProcesses } from './worker-processes.ts';
import { workflows } from './workflows.ts';
import type { Workload } from './workload.ts';

/** In the order of the report. */
export const WORKLOADS: readonly Workload[] = [
  enqueue,
  bulkEnqueue,
  drain,
  finishedRows,
  keys,
  workerProcesses,
  idleLatency,
  http,
  lists,
  memory,
  workflows,
];
