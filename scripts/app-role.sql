-- The role turnpike_app: all that the service needs in its database, and nothing with which the ledger could be changed.
--
-- Run it as the owner of the tables, in the service's database and schema, after the first migration and again after each
-- upgrade (`npm run migration:run` as the owner, then this): it grants what new tables and functions need. Then
--   CREATE ROLE turnpike LOGIN PASSWORD '...' IN ROLE turnpike_app;
-- and DATABASE_URL names that one. Migrations stay with the owner: a service that finds any to run does not start.

DO $$ BEGIN
  IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'turnpike_app') THEN
    CREATE ROLE turnpike_app NOLOGIN;
  END IF;
  EXECUTE format('GRANT CONNECT ON DATABASE %I TO turnpike_app', current_database());
  EXECUTE format('GRANT USAGE ON SCHEMA %I TO turnpike_app', current_schema());
  EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA %I TO turnpike_app', current_schema());
  EXECUTE format('GRANT USAGE ON ALL SEQUENCES IN SCHEMA %I TO turnpike_app', current_schema());
END $$;

-- The ledger and its seals: read and added to, never changed; what may follow what, and which migrations ran: read.
DO $$ DECLARE name regclass; BEGIN
  FOR name IN
    SELECT 'queue_task_events'::regclass
    UNION ALL SELECT inhrelid::regclass FROM pg_inherits WHERE inhparent = 'queue_task_events'::regclass
    UNION ALL SELECT 'queue_ledger_seals'::regclass
  LOOP
    EXECUTE format('REVOKE UPDATE, DELETE, TRUNCATE ON %s FROM turnpike_app', name);
  END LOOP;
END $$;
REVOKE INSERT, UPDATE, DELETE ON queue_task_transitions, turnpike_migrations FROM turnpike_app;

-- What makes and removes partitions works with the owner's rights; each does this one thing, by its own rules.
DO $$ DECLARE name regprocedure; BEGIN
  FOR name IN
    SELECT oid::regprocedure FROM pg_proc
    WHERE proname IN ('queue_ensure_partitions', 'queue_prune_ledger') AND pronamespace = current_schema()::regnamespace
  LOOP
    EXECUTE format('ALTER FUNCTION %s SECURITY DEFINER', name);
    EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', name);
    EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO turnpike_app', name);
  END LOOP;
END $$;
