-- The role turnpike_app: all that the service needs in its database, and nothing with which the ledger could be changed.
--
-- Run it as the owner of the tables, in the service's database and schema, after the first migration and again after each
-- upgrade (`npm run migration:run` as the owner, then this): it grants what new tables and functions need. Then
--   CREATE ROLE turnpike LOGIN PASSWORD '...' IN ROLE turnpike_app;
-- and DATABASE_URL names that one. Migrations stay with the owner: a service that finds any to run does not start. So does
-- removing old weeks of the ledger: SELECT queue_prune_ledger(now() - interval '400 days', 'your name');

-- All or nothing: at no moment has the role more than it is to have.
BEGIN;

DO $$ DECLARE name regclass; BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'turnpike_app') THEN
    CREATE ROLE turnpike_app NOLOGIN;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO turnpike_app', current_database());
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO turnpike_app', current_schema());
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO turnpike_app', current_schema());
  EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO turnpike_app', current_schema());
  -- The ledger and its seals: read and added to, never changed.
  FOR name IN
    SELECT 'queue_task_events'::regclass
    UNION ALL SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'queue_task_events'::regclass
    UNION ALL SELECT 'queue_ledger_seals'::regclass
  LOOP
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM turnpike_app', name);
  END LOOP;
END $$;
-- What may follow what, what retention has removed, and which migrations ran: read only.
REVOKE INSERT, UPDATE, DELETE ON queue_task_transitions, queue_ledger_removed, turnpike_migrations FROM turnpike_app;

-- Partitions are made, and empty ones of the output removed, with the owner's rights. Names are looked up in the schema
-- first: a caller's temporary table cannot take the place of one of the queue's.
DO $$ DECLARE name regprocedure; BEGIN
  FOR name IN
    SELECT oid::regprocedure FROM pg_proc
    WHERE proname IN ('queue_ensure_partitions', 'queue_drop_empty_log_weeks')
      AND pronamespace = current_schema()::regnamespace
  LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER SET search_path = %I, pg_temp', name, current_schema());
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO turnpike_app', name);
  END LOOP;
END $$;

COMMIT;
