import { LEGAL_TRANSITIONS_AT_1 } from './transitions.js';

const legal = LEGAL_TRANSITIONS_AT_1.map(([from, to]) => `('${from}', '${to}')`).join(', ');

/**
 * The invariant that ties the tables: `pending` = a row in exactly one of queue_ready and queue_blocked; `scheduled`,
 * `retrying`, `waiting` = a row in queue_scheduled; `running` = a row in queue_leases; terminal = in none of them.
 *
 * queue_tasks has no index on a column that a claim or a finish changes, so that those updates stay heap-only (HOT);
 * its fillfactor leaves the page room for them.
 */
export const tables = `
CREATE TABLE queue_tasks (
  id              bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  task_id         text NOT NULL UNIQUE,
  app_name        text NOT NULL,
  workflow_name   text NOT NULL,
  workflow_spec   jsonb NOT NULL,
  metadata        jsonb NOT NULL DEFAULT '{}',
  status          text NOT NULL DEFAULT 'pending',
  priority        text NOT NULL DEFAULT 'medium',
  start_by        timestamptz NOT NULL DEFAULT now(),
  run_at          timestamptz NOT NULL DEFAULT now(),
  attempt         integer NOT NULL DEFAULT 0,
  failures        integer NOT NULL DEFAULT 0,
  max_attempts    integer NOT NULL DEFAULT 1,
  crashes         integer NOT NULL DEFAULT 0,
  timeout_seconds double precision,
  instance        text,
  cause           text,
  error_message   text,
  result          jsonb,
  golden_path     text,
  request_id      text,
  enqueued_at     timestamptz NOT NULL DEFAULT now(),
  started_at      timestamptz,
  completed_at    timestamptz,
  updated_at      timestamptz NOT NULL DEFAULT now(),
  created_at      timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 50);
CREATE INDEX queue_tasks_app_name ON queue_tasks (app_name, id);
CREATE INDEX queue_tasks_enqueued_at ON queue_tasks (enqueued_at);

CREATE TABLE queue_task_transitions (
  from_status text NOT NULL,
  to_status   text NOT NULL,
  PRIMARY KEY (from_status, to_status)
);
INSERT INTO queue_task_transitions VALUES ${legal};

CREATE TABLE queue_ready (
  id       bigint PRIMARY KEY,
  start_by timestamptz NOT NULL
);
CREATE INDEX queue_ready_order ON queue_ready (start_by, id);

CREATE TABLE queue_blocked (
  id       bigint PRIMARY KEY,
  reason   text NOT NULL CHECK (reason IN ('key', 'paused')),
  start_by timestamptz NOT NULL
);

CREATE TABLE queue_scheduled (
  id     bigint PRIMARY KEY,
  run_at timestamptz NOT NULL
);
CREATE INDEX queue_scheduled_due ON queue_scheduled (run_at, id);

CREATE TABLE queue_leases (
  id               bigint PRIMARY KEY,
  lease_token      uuid NOT NULL,
  instance         text NOT NULL,
  cancel_requested boolean NOT NULL DEFAULT false,
  cancel_reason    text
);

CREATE TABLE queue_instances (
  id         text PRIMARY KEY,
  expires_at timestamptz NOT NULL,
  started_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  hostname   text NOT NULL,
  pid        integer NOT NULL,
  version    text NOT NULL,
  workers    integer NOT NULL,
  draining   boolean NOT NULL DEFAULT false
);

CREATE TABLE queue_dead_letters (
  id           bigint PRIMARY KEY,
  finished_at  timestamptz NOT NULL,
  cause        text,
  discarded_at timestamptz
);

-- Deltas, written by the ledger's triggers and folded in the background; the sum over all rows is the truth.
-- The columns named as states count the tasks that are in them; the others only ever grow.
CREATE TABLE queue_counters (
  id                bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  scheduled         bigint NOT NULL DEFAULT 0,
  pending           bigint NOT NULL DEFAULT 0,
  running           bigint NOT NULL DEFAULT 0,
  waiting           bigint NOT NULL DEFAULT 0,
  retrying          bigint NOT NULL DEFAULT 0,
  completed         bigint NOT NULL DEFAULT 0,
  failed            bigint NOT NULL DEFAULT 0,
  cancelled         bigint NOT NULL DEFAULT 0,
  tasks_enqueued    bigint NOT NULL DEFAULT 0,
  tasks_started     bigint NOT NULL DEFAULT 0,
  queue_time_ms     double precision NOT NULL DEFAULT 0,
  tasks_completed   bigint NOT NULL DEFAULT 0,
  tasks_failed      bigint NOT NULL DEFAULT 0,
  tasks_cancelled   bigint NOT NULL DEFAULT 0,
  runs_ended        bigint NOT NULL DEFAULT 0,
  execution_time_ms double precision NOT NULL DEFAULT 0
);

CREATE TABLE queue_task_steps (
  task_id       text NOT NULL,
  position      integer NOT NULL,
  name          text NOT NULL,
  type          text NOT NULL,
  status        text NOT NULL
    CHECK (status IN ('pending', 'running', 'waiting', 'completed', 'failed', 'skipped', 'cancelled')),
  attempt       integer NOT NULL,
  started_at    timestamptz,
  completed_at  timestamptz,
  exit_code     integer,
  cause         text,
  error_message text,
  outputs       jsonb,
  PRIMARY KEY (task_id, position)
) WITH (fillfactor = 70);

-- The ledger. Identity order is not commit order: readers follow (xid, id) behind pg_snapshot_xmin; for one task the
-- order of id is the order of its events. A plain sequence, since before PostgreSQL 17 partitions take no identity.
CREATE SEQUENCE queue_task_events_id_seq;
CREATE TABLE queue_task_events (
  id          bigint NOT NULL DEFAULT nextval('queue_task_events_id_seq'),
  kind        text NOT NULL CHECK (kind IN ('transition', 'step', 'operator')),
  task_id     text,
  from_status text,
  to_status   text,
  attempt     integer,
  actor       text NOT NULL,
  cause       text,
  detail      jsonb,
  request_id  text,
  at          timestamptz NOT NULL DEFAULT clock_timestamp(),
  xid         xid8 NOT NULL DEFAULT pg_current_xact_id(),
  PRIMARY KEY (id, at)
) PARTITION BY RANGE (at);
CREATE INDEX queue_task_events_task ON queue_task_events (task_id, id);
CREATE TABLE queue_task_events_default PARTITION OF queue_task_events DEFAULT;

CREATE SEQUENCE queue_task_logs_id_seq;
CREATE TABLE queue_task_logs (
  id      bigint NOT NULL DEFAULT nextval('queue_task_logs_id_seq'),
  task_id text NOT NULL,
  attempt integer NOT NULL,
  step    text NOT NULL,
  stream  text NOT NULL CHECK (stream IN ('stdout', 'stderr', 'system')),
  at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  chunk   bytea NOT NULL
) PARTITION BY RANGE (at);
CREATE INDEX queue_task_logs_task ON queue_task_logs (task_id, id);
CREATE TABLE queue_task_logs_default PARTITION OF queue_task_logs DEFAULT;
`;
