/**
 * Weekly partitions of ledger and logs for this week and some to come; called at boot and daily. What falls outside
 * lands in the default partition, so that a write never fails for want of one; a week that already has rows there
 * stays there. A new partition is built aside and attached, which does not lock out writers as creating it in place
 * would.
 */
export const partitionFunction = `
CREATE FUNCTION queue_ensure_partitions(weeks_ahead integer DEFAULT 4) RETURNS void
LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
  parent text;
  first_day timestamp;
  partition text;
BEGIN
  PERFORM pg_advisory_xact_lock(hashtext('queue_ensure_partitions'));
  FOREACH parent IN ARRAY ARRAY['queue_task_events', 'queue_task_logs'] LOOP
    FOR week IN 0..weeks_ahead LOOP
      first_day := date_trunc('week', clock_timestamp() AT TIME ZONE 'UTC') + week * interval '7 days';
      partition := parent || '_' || to_char(first_day, 'YYYYMMDD');
      CONTINUE WHEN to_regclass(partition) IS NOT NULL;
      BEGIN
        EXECUTE format('CREATE TABLE %I (LIKE %I INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)',
                       partition, parent);
        EXECUTE format('ALTER TABLE %I ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', parent, partition,
                       first_day::text || '+00', (first_day + interval '7 days')::text || '+00');
        IF parent = 'queue_task_events' THEN
          EXECUTE format('CREATE TRIGGER queue_ledger_truncate BEFORE TRUNCATE ON %I
                          FOR EACH STATEMENT EXECUTE FUNCTION queue_ledger_guard()', partition);
        END IF;
      EXCEPTION WHEN check_violation THEN
        NULL; -- the default partition holds rows of this week: they, and the rest of it, stay there
      END;
    END LOOP;
  END LOOP;
END $$;
`;
