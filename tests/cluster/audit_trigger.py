"""A witness in the database: each event is noted with who wrote it and who was the host then.

That a write of a run came from its host at that moment is thus seen from outside of the code which
has to see to it.
"""

INSTALL = """
CREATE TABLE audit (
    id bigserial PRIMARY KEY, at timestamptz DEFAULT clock_timestamp(), conversation uuid,
    run uuid, sequence bigint, type text, key text, generation bigint, holder text, writer text
);
CREATE FUNCTION note_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO audit (conversation, run, sequence, type, key, generation, holder, writer)
    SELECT NEW.conversation_id, NEW.run_id, NEW.sequence, NEW.type,
        run.key, COALESCE(lease.generation, 0), COALESCE(lease.worker, ''),
        current_setting('application_name')
    FROM sessions_app_run run LEFT JOIN sessions_app_hostlease lease ON lease.key = run.key
    WHERE run.id = NEW.run_id;
    RETURN NEW;
END $$;
CREATE TRIGGER note_event AFTER INSERT ON sessions_app_event
FOR EACH ROW EXECUTE FUNCTION note_event();
"""
