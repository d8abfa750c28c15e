type Query = (sql: string, params?: unknown[]) => Promise<unknown>;

/** Stores so many tasks that have failed, in three statements; three kinds of errors in turn. */
export async function manyFailed(query: Query, count: number, appName = 'demo-app'): Promise<void> {
  await query(`
    BEGIN;
    SELECT set_config('turnpike.actor', 'test', true);
    INSERT INTO queue_tasks (task_id, app_name, workflow_name, workflow_spec, metadata)
    SELECT 'task-' || gen_random_uuid(), '${appName}', 'golden-path-deploy-app', '{"steps": []}', '{"user": "test"}'
    FROM generate_series(1, ${count});
    UPDATE queue_tasks SET status = 'running', attempt = 1, started_at = clock_timestamp(), instance = 'gone'
    WHERE status = 'pending' AND app_name = '${appName}';
    UPDATE queue_tasks SET status = 'failed', cause = 'step_failed', failures = 1, completed_at = clock_timestamp(),
      error_message = format('%s of pod web-%s failed: exit code 1',
                             (ARRAY['step ''deploy''', 'step ''migrate''', 'step ''test'''])[1 + id % 3], md5(task_id))
    WHERE status = 'running' AND app_name = '${appName}';
    COMMIT`);
}
